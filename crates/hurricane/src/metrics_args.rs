//! The flags of metrics.

use clap::ArgAction;

use crate::values::{path, switch};

/// A path in two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsPath {
    /// As other paths are.
    pub tidied: String,
    /// As it was typed.
    pub typed: String,
}

fn metrics_path(text: &str) -> Result<MetricsPath, String> {
    Ok(MetricsPath { tidied: path(text)?, typed: text.to_owned() })
}

/// What Prometheus is offered.
#[derive(Clone, Debug, clap::Args)]
pub struct MetricsArgs {
    /// Path of the metrics of requests and of the project for Prometheus, on the probe port
    #[arg(long, env = "HURRICANE_METRICS", value_name = "PATH",
          default_value = "/metrics", value_parser = metrics_path)]
    pub metrics: MetricsPath,

    /// Offer no metrics of requests and project; requests are counted for --max-lifetime all the
    /// same
    #[arg(long, env = "HURRICANE_NO_METRICS", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub no_metrics: bool,

    /// Add the server's own metrics to that page, and give response_size_bytes buckets for bytes in
    /// place of those for seconds that it has had
    #[arg(long, env = "HURRICANE_METRICS_EXTENDED", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub metrics_extended: bool,

    /// Path of the server's own metrics for Prometheus, on the probe port
    #[arg(long, env = "HURRICANE_SERVER_METRICS", value_name = "PATH",
          default_value = "/metrics/server", value_parser = path)]
    pub server_metrics: String,
}
