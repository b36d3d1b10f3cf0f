//! What keeps a worker from going on, as the supervisor concludes it from what the kernel says.

/// What keeps a worker from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hindrance {
    /// By SIGSTOP or its like.
    Stopped = 1,
    /// By a debugger.
    Traced = 2,
    /// It wants to run, and the CPU quota of its cgroup is used up.
    Quota = 3,
    /// It wants to run, and others have the CPUs.
    Others = 4,
    /// Threads that run requests compute.
    Python = 5,
    /// The loop computes.
    Loop = 6,
    /// A thread holds the interpreter lock and does not come back.
    Interpreter = 7,
    /// All threads that matter sleep.
    Sleep = 8,
}

impl Hindrance {
    const ALL: [Self; 8] = [
        Self::Stopped,
        Self::Traced,
        Self::Quota,
        Self::Others,
        Self::Python,
        Self::Loop,
        Self::Interpreter,
        Self::Sleep,
    ];

    pub(crate) fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|hindrance| *hindrance as u32 == raw)
    }

    /// As it is said of a worker.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped by a signal",
            Self::Traced => "stopped by a debugger",
            Self::Quota => "out of CPU quota",
            Self::Others => "waiting for a CPU that others use",
            Self::Python => "busy in Python",
            Self::Loop => "busy in its loop",
            Self::Interpreter => "waiting for the interpreter lock",
            Self::Sleep => "blocked in I/O or a lock",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_as_it_is_written() {
        for hindrance in Hindrance::ALL {
            assert_eq!(Hindrance::from_raw(hindrance as u32), Some(hindrance));
        }
        assert_eq!(Hindrance::from_raw(0), None);
        assert_eq!(Hindrance::from_raw(99), None);
    }
}
