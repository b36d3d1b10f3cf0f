//! What each child of the server does: the calls into the crates of workers and control process.

use super::*;

/// The one call into the worker crate.
pub(super) fn run_worker<A: Application>(
    parts: &Parts,
    (index, slot): (usize, usize),
    station: Station,
    make: &impl Fn(WorkerContext) -> A,
) -> Result<(), Failure> {
    let Station { listener: Some(listener), orders, pin, stacks } = station else {
        return Err(Failure::Other("a worker was started without a listener".into()));
    };
    let context = introduce(parts, (index, slot), stacks);
    let config = &parts.config;
    let late_mounts = parts.late_mounts.as_ref().map(|late| late()).unwrap_or_default();
    let names_charset = config.behaviour.names_charset;
    let mounts = config.mounts.iter().cloned().chain(late_mounts);
    let options = WorkerOptions {
        limits: config.limits.clone(),
        io: config.io,
        pin,
        shares_listener: parts.shares_listener,
        reserved: reserved(parts),
        logged: logged(parts, Some(slot)),
        logs_reserved: config.log_probes,
        counts_reserved: config.behaviour.counts_probes,
        identifies: config.identifies,
        mounts: mounts.map(|mount| Mount { names_charset, ..mount }).collect(),
        proxies: config.proxies.clone(),
        tls: config.tls.clone(),
    };
    let application = || make(context);
    let ended = hurricane_worker::run(options, listener, &parts.board, slot, orders, application);
    parts.access.flush(LAST_LINES);
    ended.map_err(Failure::from)
}

/// Puts this process, or thread, into its slot.
pub(super) fn introduce(
    parts: &Parts,
    (index, slot): (usize, usize),
    stacks: Option<OwnedFd>,
) -> WorkerContext {
    if let Some(slot) = parts.board.slot(slot) {
        slot.set_pid(process::id());
        slot.running_requests().set_loop(process::pthread());
    }
    let config = &parts.config;
    WorkerContext {
        index,
        board: parts.board.clone(),
        slot,
        stacks: stacks.map(|file| process::answer_with_end_of_stacks(stack_signal(), file)),
        limits: config.limits.clone(),
        threads: config.threads,
        access: parts.access.clone(),
        scrape: parts.scrape().filter(|_| parts.page.project.is_some()),
        config: Arc::clone(config),
    }
}

/// Takes what was answered where no line about it may wait; lines that are dropped are counted in
/// the worker's slot.
fn logged(parts: &Parts, slot: Option<usize>) -> Option<Logged> {
    let Parts { access, board, .. } = parts.clone();
    access.is_on().then(|| {
        Arc::new(move |answered: &Answered<'_>| {
            if access.wants(answered.status)
                && !access.write(Line::of(answered))
                && let Some(slot) = slot.and_then(|slot| board.slot(slot))
            {
                slot.unlogged();
            }
        }) as Logged
    })
}

/// What the application is not asked: probes on its port, and methods that there are not.
fn reserved(parts: &Parts) -> Option<Reserved> {
    let integrated = parts.config.probe_port == ProbePort::Integrated;
    let probes = integrated.then(|| probes(parts));
    let Some(methods) = parts.config.limits.dialect.methods else { return probes };
    Some(Arc::new(move |head| match methods.contains(&head.method()) {
        true => probes.as_ref().and_then(|probes| probes(head)),
        false => Some(Response::text("method not allowed").with_status(405)),
    }))
}

/// Probes on the application's port.
fn probes(parts: &Parts) -> Reserved {
    let Parts { config, board, status, .. } = parts.clone();
    let scrape = parts.scrape().filter(|_| parts.page.project.is_none());
    Arc::new(move |head| {
        hurricane_control::answer(head, &config.paths, &config.verdict, &status, &board)
            .or_else(|| scrape.as_ref().and_then(|scrape| scrape(head)))
    })
}

/// Whether anybody would hear of the control process.
pub(super) fn wants_control(config: &Config) -> bool {
    config.probe_port != ProbePort::Off || config.webhook.is_some()
}

/// The one call into the control crate.
pub(super) fn run_control(
    parts: &Parts,
    mut checks: Vec<Check>,
    own_webhooks: Option<OwnWebhooks>,
    station: Station,
) -> Result<(), Failure> {
    if parts.config.probe_port == ProbePort::Off {
        checks.clear();
    }
    let options = ControlOptions {
        listeners: station.listener.into_iter().map(TcpListener::from).collect(),
        paths: parts.config.paths.clone(),
        limits: parts.config.verdict.clone(),
        checks,
        webhook: parts.config.webhook.clone(),
        own_webhooks,
        page: parts.page.clone(),
        server: parts.status.clone(),
        logged: if parts.config.log_probes { logged(parts, None) } else { None },
    };
    let ended = hurricane_control::run(options, parts.board.clone(), station.orders);
    parts.access.flush(LAST_LINES);
    ended.map_err(|error| Failure::Other(with_causes(&error)))
}
