//! What can be wrong with a model's files, said so that the user can act on it.

/// Why a model could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `config.json` is malformed or asks for what the decoder cannot do.
    #[error("{file}: {message}")]
    Config {
        /// Which file.
        file: String,
        /// What is wrong, and what would do.
        message: String,
    },
    /// The folder has no such file.
    #[error("the model has no {file}: a Hugging Face folder holds config.json and model.safetensors (or its shards)")]
    MissingFile {
        /// Which file.
        file: String,
    },
    /// A weight file cannot be read as one.
    #[error("{file} is truncated or no safetensors file ({reason}); fetch or write it anew")]
    BrokenFile {
        /// Which file.
        file: String,
        /// What the format's reader said.
        reason: String,
    },
    /// A tensor that the configuration asks for is in no file.
    #[error("{file} has no tensor {name}, which config.json asks for")]
    MissingTensor {
        /// Where it was looked for.
        file: String,
        /// Its name.
        name: String,
    },
    /// A tensor's shape is not that of the configuration.
    #[error("{file}: the tensor {name} is {found:?}, but config.json asks for {expected:?}")]
    WrongShape {
        /// Where it stands.
        file: String,
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the configuration gives it.
        expected: Vec<usize>,
    },
    /// A tensor's number format is not one that weights come in.
    #[error("{file}: the tensor {name} holds {dtype}; F32, F16 and BF16 are read")]
    WrongType {
        /// Where it stands.
        file: String,
        /// Its name.
        name: String,
        /// Its number format.
        dtype: String,
    },
    /// The disk said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl ModelError {
    /// Something is wrong with `config.json`.
    pub(super) fn config(message: impl Into<String>) -> Self {
        ModelError::Config { file: "config.json".into(), message: message.into() }
    }
}
