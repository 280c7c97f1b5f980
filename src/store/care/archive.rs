//! The form of a portable archive: a plain tar file with one result, or several, and what they were made from.
//!
//! ```text
//! srlm-export.json        the form, and which results were asked for; under a seal
//! records/<key>.json      results, as they stand in the store
//! lineage/<key>.json      records of what they were made from, without its files
//! objects/ab/cdef…        lists of files, then the files
//! ```
//! Every part is a plain file, in the order above and sorted by name, each once. Nothing else may be in it, so no name
//! can lead anywhere. Times, owners and rights are left out: the same results give the same bytes.

use crate::base::digest::Digest;
use serde::{Deserialize, Serialize};

/// The form that this program writes and reads.
pub(super) const FORM: &str = "srlm export 1";
/// The first part.
pub(super) const MANIFEST: &str = "srlm-export.json";
/// The most bytes that a manifest or a record may have.
pub(super) const MOST_TEXT: u64 = 64 << 20;
/// The most bytes that a list of files may have.
pub(super) const MOST_TREE: u64 = 1 << 30;

/// The most bytes that all of these may have together: they are held in memory.
pub(super) const MOST_HELD: u64 = 4 << 30;

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub form: String,
    /// The results that were asked for.
    pub targets: Vec<Digest>,
}

/// A part of an archive by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Manifest,
    Record(Digest),
    Lineage(Digest),
    Object(Digest),
}

impl Part {
    /// The part that a name means; none for any other name.
    pub fn of(name: &str) -> Option<Part> {
        if name == MANIFEST {
            return Some(Part::Manifest);
        }
        let (folder, rest) = name.split_once('/')?;
        let part = match folder {
            "records" => Part::Record(rest.strip_suffix(".json")?.parse().ok()?),
            "lineage" => Part::Lineage(rest.strip_suffix(".json")?.parse().ok()?),
            "objects" => {
                let (first, rest) = rest.split_once('/')?;
                Part::Object(format!("{first}{rest}").parse().ok()?)
            }
            _ => return None,
        };
        // One name a part: neither capital digits nor a slash in another place.
        (part.name() == name).then_some(part)
    }

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Part::Manifest => MANIFEST.to_string(),
            Part::Record(key) => format!("records/{key}.json"),
            Part::Lineage(key) => format!("lineage/{key}.json"),
            Part::Object(digest) => {
                let digest = digest.to_string();
                format!("objects/{}/{}", &digest[..2], &digest[2..])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_name() {
        let digest = Digest::of_bytes(b"x");
        for part in [Part::Manifest, Part::Record(digest), Part::Lineage(digest), Part::Object(digest)] {
            assert_eq!(Part::of(&part.name()), Some(part));
        }
        let hex = digest.to_string();
        let others = [
            format!("/records/{hex}.json"),
            format!("records/../records/{hex}.json"),
            format!("records/{}.json", hex.to_uppercase()),
            format!("./records/{hex}.json"),
            format!("objects/{}/{}", &hex[..3], &hex[3..]),
            format!("records/{hex}"),
            "format".to_string(),
            "../srlm-export.json".to_string(),
        ];
        assert!(others.iter().all(|name| Part::of(name).is_none()));
    }
}
