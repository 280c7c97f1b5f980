//! The names of objects in a remote cache.

use crate::base::digest::Digest;
use object_store::path::Path as Name;

/// Names below a prefix.
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub fn new(prefix: &str) -> Names {
        Names { prefix: prefix.to_string() }
    }

    pub fn format(&self) -> Name {
        self.below("format")
    }

    pub fn blob(&self, digest: &Digest) -> Name {
        let name = digest.to_string();
        let (folder, file) = name.split_at(2);
        self.below(&format!("objects/{folder}/{file}"))
    }

    pub fn record(&self, key: &Digest) -> Name {
        self.below(&format!("records/{key}.json"))
    }

    pub fn shallow(&self, shallow: &Digest) -> Name {
        self.below(&format!("shallow/{shallow}"))
    }

    fn below(&self, name: &str) -> Name {
        Name::from(format!("{}/{name}", self.prefix))
    }
}
