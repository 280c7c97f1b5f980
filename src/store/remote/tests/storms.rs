//! Whatever the network does: no wrong byte comes in, nothing half-done is seen, and all is well once it calms down.

use super::faults::{Fault, Faulty};
use super::*;
use proptest::prelude::*;

fn fault() -> impl Strategy<Value = Fault> {
    use Fault::*;
    prop_oneof![
        4 => Just(None),
        1 => Just(Internal),
        1 => Just(Unavailable),
        1 => Just(Truncated),
        1 => Just(Flipped),
        1 => Just(Broken),
        1 => Just(Slow),
    ]
}

/// Every record there has all its blobs, to the byte: records come last.
fn assert_whole(shared: &Arc<InMemory>) {
    let read = |name: &str| wait(async { shared.get(&Name::from(name)).await.unwrap().bytes().await.unwrap() });
    for name in names(shared).iter().filter(|name| name.contains("/records/")) {
        let key = name.rsplit('/').next().unwrap().trim_end_matches(".json").parse().unwrap();
        let record = Record::from_text(&key, std::str::from_utf8(&read(name)).unwrap()).unwrap();
        for tree in record.outputs.values() {
            let tree_name = tree.to_string();
            let text = read(&format!("cache/objects/{}/{}", &tree_name[..2], &tree_name[2..]));
            for entry in crate::store::artifact::read_tree(tree, &text).unwrap() {
                let name = entry.blob.to_string();
                let bytes = read(&format!("cache/objects/{}/{}", &name[..2], &name[2..]));
                assert_eq!(Digest::of_bytes(&bytes), entry.blob);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_wrong_byte_comes_in(out in prop::collection::vec(fault(), 0..120), back in prop::collection::vec(fault(), 0..120)) {
        let shared = Arc::new(InMemory::new());
        let (going, coming) = (Faulty::new(&shared, out), Faulty::new(&shared, back));
        let (one, two) = (machine(going.clone()), machine(coming.clone()));
        let made = [
            one.make("base", FILES),
            one.make("warm", &[("weights/a", b"aaaa"), ("weights/c", &[7; 5000])]),
            one.make("exam", &[("summary.json", b"{\"n\": 1}")]),
        ];
        one.upload(&made);
        assert_whole(&shared);

        // Whatever comes is what was made; whatever does not come, says why.
        for record in &made {
            match two.take(&record.name) {
                Ok(taken) => prop_assert_eq!(&taken, record),
                Err(_) => prop_assert_eq!(two.has(&record.name), None),
            }
        }

        // Once the network is well, the next run brings up what is missing.
        going.heal();
        let again = Machine { remote: connect(&one.store, going), ..one };
        made.iter().for_each(|record| again.remote.offer(&record.key));
        let told = again.finish();
        prop_assert!(warnings(&told).is_empty(), "{:?}", told);
        let three = machine(shared);
        for record in &made {
            prop_assert_eq!(&three.take(&record.name).unwrap(), record);
        }
    }
}
