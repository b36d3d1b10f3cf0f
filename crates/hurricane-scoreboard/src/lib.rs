//! What every worker is doing, in memory that all processes of the server share.
//!
//! One shared mapping, made before the first fork: the server's own state, a slot per
//! worker and one for its successor, a cell per check, the control process's own state. It is the
//! same for workers that are threads and for workers that are processes.
//!
//! Invariants:
//! - A slot is written by its worker alone (and by the supervisor while no worker owns it), a
//!   check cell and its own state by the control process alone, the server's state by the
//!   supervisor alone; while there is one, the preparation process writes the texts of the start.
//!   Names of paths are claimed by any worker and never change.
//! - Every field is an atomic of its own and all-zero is valid, so that a killed writer cannot
//!   leave anything inconsistent; text is guarded by a sequence number.
//! - Readers never wait: they read, add up, and give up after a bounded number of tries.

mod checks;
mod consumption;
mod control;
mod heartbeat;
mod hindrance;
mod mapping;
mod paths;
mod requests;
mod sequence;
mod server;
mod slot;
mod sync;
mod text;
mod traffic;

pub use checks::{CheckCell, CheckReading, CheckStatus, Purpose};
pub use consumption::{BrokerState, Consumption, ConsumptionReading, Settled};
pub use control::{
    ControlState, HostReading, ThrottlingReading, WebhookEnd, WebhookKind, WebhookReading,
    WebhookStatus,
};
pub use heartbeat::Monotonic;
pub use hindrance::Hindrance;
pub use mapping::{CHECKS_MAX, Role, Scoreboard, ScoreboardError};
pub use paths::{PATHS_MAX, PathId, PathReading, Paths};
pub use requests::{REQUESTS_NAMED_MAX, RequestReading, RunningRequests, ThreadName};
pub use server::{Phase, Replaced, ServerState};
pub use slot::{Alone, Engine, REFUSALS_MAX, Slot, SlotReading, WorkerState};
pub use text::TextCell;
pub use traffic::{Answer, SIZE_BOUNDS, TIME_BOUNDS_NS, TrafficReading};
