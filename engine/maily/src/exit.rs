//! Exit codes (sysexits.h), so that scripts and systemd can tell what went wrong.

use std::process::ExitCode;

/// Why a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Ok,
    /// Nothing matched.
    Nothing,
    /// Part of it went wrong.
    Partial,
    /// 65: the input is not what it should be.
    Data,
    /// 69: the other side cannot be reached or said no for good.
    Unavailable,
    /// 70: a fault of ours.
    Software,
    /// 74: reading or writing failed.
    Io,
    /// 75: try again later.
    TempFail,
    /// 77: not permitted.
    NoPermission,
    /// 78: the configuration is wrong.
    Config,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Nothing => 1,
            Self::Partial => 2,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::Io => 74,
            Self::TempFail => 75,
            Self::NoPermission => 77,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that knows its exit code.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What to tell the operator.
    pub error: anyhow::Error,
}

impl Failure {
    /// This error, with this code.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }
}

/// An error that says nothing of its kind is a fault of ours.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Exit::Software, error)
    }
}
