//! Values by name, few of them: sorted and in one piece, where a map has a node with room for eleven.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Values by name. There are several in every record, and a plan holds tens of thousands of records.
#[derive(Clone, PartialEq)]
pub struct Named<V>(Box<[(String, V)]>);

impl<V> Named<V> {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Whether there is a value of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Named(Box::default())
    }
}

#[cfg(test)]
impl<V> std::ops::Index<&str> for Named<V> {
    type Output = V;

    /// The value of a name that must be there.
    fn index(&self, name: &str) -> &V {
        self.get(name).unwrap_or_else(|| panic!("there is no `{name}`"))
    }
}

impl<V> From<BTreeMap<String, V>> for Named<V> {
    fn from(map: BTreeMap<String, V>) -> Self {
        Named(map.into_iter().collect())
    }
}

impl<V> From<Named<V>> for BTreeMap<String, V> {
    fn from(named: Named<V>) -> Self {
        named.0.into_iter().collect()
    }
}

impl<V> FromIterator<(String, V)> for Named<V> {
    /// Of a name that comes twice, the last value stays.
    fn from_iter<I: IntoIterator<Item = (String, V)>>(pairs: I) -> Self {
        BTreeMap::from_iter(pairs).into()
    }
}

impl<V: fmt::Debug> fmt::Debug for Named<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: Serialize> Serialize for Named<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Named<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Named::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_and_writes_as_a_map_does() {
        let named: Named<u32> = serde_json::from_str(r#"{"b": 2, "a": 1, "b": 3}"#).expect("it is a map");
        assert_eq!(serde_json::to_string(&named).expect("it is plain data"), r#"{"a":1,"b":3}"#);
        assert_eq!((named["a"], named.get("b"), named.get("c")), (1, Some(&3), None));
        assert_eq!(named.values().sum::<u32>(), 4);
        assert_eq!(Named::from(BTreeMap::from(named.clone())), named);
        assert!(!Named::<u32>::default().contains_key("a"));
    }
}
