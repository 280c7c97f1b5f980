//! What can go wrong with a remote cache. None of it fails a stage: each becomes a warning, and the work is done here.

/// Why something did not come from the remote cache, or did not get there. Reads on after "the remote cache".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// It does not answer, or not with what was asked for.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It wants other credentials.
    #[error(
        "refuses access: {0}; the credentials in the environment (AWS_*, GOOGLE_*, AZURE_*) must allow to read, write and list"
    )]
    Refused(String),
    /// It cannot do what is asked of it, or what was asked for is wrong.
    #[error("cannot be used: {0}")]
    Unusable(String),
    /// Something else lies at its address.
    #[error("cannot be used: its `format` says `{found}`, and this srlm reads `{expected}`")]
    Foreign {
        /// What its marker says.
        found: String,
        /// What this program reads.
        expected: &'static str,
    },
    /// Bytes came that are not those that were sent there.
    #[error("holds damaged bytes: {0}")]
    Damaged(String),
    /// The local store could not take or give what was to be moved.
    #[error("is of no help: {0}")]
    Here(String),
}

impl RemoteError {
    /// Whether another try at once may do better, after the retries that were made already.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, RemoteError::Unreachable(_))
    }

    /// Whether what is there is at fault, so that what is here may replace it.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, RemoteError::Damaged(_))
    }
}
