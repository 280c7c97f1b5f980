//! Where a remote cache is: `s3://bucket/prefix`, `gs://…`, `az://container/prefix`, `file:///folder` or a plain folder.

use super::http::Connector;
use super::secrets;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, RetryConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The address of a remote cache. It holds no credentials: those come from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    place: Place,
    /// What stands before every name, without slashes at its ends.
    prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    S3(String),
    Google(String),
    Azure(String),
}

/// A text that names no remote cache.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{shown}` is no remote cache: {why}; s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or a folder is expected"
)]
pub struct BadAddress {
    shown: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Address, BadAddress> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Address::folder(Path::new(text)));
        };
        // What is refused may be a secret: it is not repeated.
        let refused = |why| BadAddress { shown: format!("{scheme}://…"), why };
        if rest.contains(['@', '?', '#']) {
            return Err(refused("credentials and settings come from the environment, not from the address"));
        }
        if scheme == "file" {
            return match rest.strip_prefix('/') {
                Some(_) => Ok(Address::folder(Path::new(rest))),
                None => Err(refused("file:// is followed by a path from the root")),
            };
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(refused("it names no bucket"));
        }
        let place = match scheme {
            "s3" => Place::S3(bucket.to_string()),
            "gs" => Place::Google(bucket.to_string()),
            "az" => Place::Azure(bucket.to_string()),
            _ => return Err(refused("this kind of address is not known")),
        };
        Ok(Address { place, prefix: prefix.trim_matches('/').to_string() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, bucket) = match &self.place {
            Place::Folder(folder) => return write!(f, "{}", folder.display()),
            Place::S3(bucket) => ("s3", bucket),
            Place::Google(bucket) => ("gs", bucket),
            Place::Azure(container) => ("az", container),
        };
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "{scheme}://{bucket}{slash}{}", self.prefix)
    }
}

impl Address {
    /// A folder, the current one being the place that it counts from.
    fn folder(path: &Path) -> Address {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Address { place: Place::Folder(path), prefix: String::new() }
    }

    /// What stands before every name.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The store behind it; none where a folder does not exist yet, unless it is to be made. No network is used.
    pub(super) fn connect(&self, make: bool) -> Result<Option<Arc<dyn ObjectStore>>, String> {
        let plain = |error: object_store::Error| secrets::root_cause(&error);
        Ok(Some(match &self.place {
            Place::Folder(folder) => match open_folder(folder, make)? {
                true => Arc::new(LocalFileSystem::new_with_prefix(folder).map_err(plain)?.with_fsync(true)),
                false => return Ok(None),
            },
            Place::S3(bucket) => {
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries());
                Arc::new(builder.with_http_connector(Connector).build().map_err(plain)?)
            }
            Place::Google(bucket) => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retries());
                Arc::new(builder.with_http_connector(Connector).build().map_err(plain)?)
            }
            Place::Azure(container) => {
                let builder = MicrosoftAzureBuilder::from_env().with_container_name(container).with_retry(retries());
                Arc::new(builder.with_http_connector(Connector).build().map_err(plain)?)
            }
        }))
    }
}

/// Retries of single requests, such as one part of a large file; whole operations are retried by [`super::link`].
fn retries() -> RetryConfig {
    RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() }
}

/// Whether the folder is there; makes it where that is asked for. Its parent must exist: a path below a disk that is not
/// mounted must not come into being on another one.
fn open_folder(folder: &Path, make: bool) -> Result<bool, String> {
    let above = folder.parent().unwrap_or(folder);
    match (folder.is_dir(), folder.exists()) {
        (true, _) => Ok(true),
        (_, true) => Err("it is no folder".to_string()),
        _ if !above.is_dir() => Err(format!("there is no folder {}", above.display())),
        _ if make => std::fs::create_dir(folder).map(|()| true).map_err(|error| format!("it cannot be made: {error}")),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Address>().map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    #[test]
    fn addresses_are_read_and_shown() {
        assert_eq!(shown("s3://bucket/some/prefix/"), "s3://bucket/some/prefix");
        assert_eq!(shown("gs://bucket"), "gs://bucket");
        assert_eq!(shown("az://container/x"), "az://container/x");
        assert_eq!(shown("file:///mnt/cache"), "/mnt/cache");
        assert!(shown("shared/cache").ends_with("/shared/cache"));
    }

    #[test]
    fn what_names_no_cache_is_refused_without_repeating_it() {
        for (text, why) in [
            ("ftp://host/x", "not known"),
            ("s3:///x", "no bucket"),
            ("file://x", "from the root"),
            ("s3://key:sesame@bucket/x", "environment"),
            ("az://container/x?sig=sesame", "environment"),
        ] {
            let shown = shown(text);
            assert!(shown.contains(why) && !shown.contains("sesame"), "{shown}");
        }
    }

    #[test]
    fn a_folder_is_made_only_when_asked_and_never_below_one_that_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let address: Address = folder.path().join("cache").to_string_lossy().parse().unwrap();
        assert!(address.connect(false).unwrap().is_none() && !folder.path().join("cache").exists());
        assert!(address.connect(true).unwrap().is_some() && folder.path().join("cache").is_dir());
        let deep: Address = folder.path().join("not/mounted").to_string_lossy().parse().unwrap();
        assert!(deep.connect(true).unwrap_err().contains("there is no folder"));
    }
}
