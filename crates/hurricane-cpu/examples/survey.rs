//! Prints what limits the CPUs and the memory of this process, and what follows from it.
//!
//! `cargo run -p hurricane-cpu --example survey`

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use hurricane_cpu::{
    CpuSet, PinMode, Root, Survey, VARIABLES, memory_limit, pin_plan, throttling, worker_count,
};

fn main() {
    let survey = Survey::of_this_process();
    let list = |cpus: Option<&CpuSet>| cpus.map_or("unknown".to_owned(), CpuSet::to_string);
    println!("online CPUs    {}", list(survey.online.as_ref()));
    println!("affinity mask  {}", survey.affinity);
    println!("cpuset         {}", list(survey.cpuset.as_ref().map(|cpuset| &cpuset.cpus)));
    println!("visible CPUs   {}", survey.visible());
    for limit in &survey.limits {
        println!("CPU limit      {} {}", limit.cpus, limit.origin);
    }
    if let Some(request) = &survey.request {
        println!("CPU request    {} {}", request.cpus, request.origin);
    }
    println!("in Kubernetes  {}", if survey.kubernetes { "yes" } else { "no" });
    for remark in &survey.remarks {
        println!("remark         {remark}");
    }

    let count = worker_count(&survey);
    println!("workers        {} ({})", count.workers, count.reason);
    for mode in [PinMode::Auto, PinMode::On, PinMode::Off] {
        println!("pin {mode:<10} {}", pin_plan(mode, &survey, count.workers).reason);
    }
    match memory_limit(&Root::host()) {
        Some(limit) => println!("memory limit   {} MiB, {}", limit.bytes >> 20, limit.reason),
        None => println!("memory limit   none"),
    }
    if let Some(seen) = throttling(&Root::host()) {
        println!(
            "throttled      {} of {} periods, {:.1} s",
            seen.throttled_periods,
            seen.periods,
            seen.time.as_secs_f64()
        );
    }

    println!("\nvariables that are read:");
    for (name, holds) in VARIABLES {
        let value = std::env::var(name).unwrap_or_else(|_| "not set".to_owned());
        println!("  {name} ({value}): {holds}");
    }
}
