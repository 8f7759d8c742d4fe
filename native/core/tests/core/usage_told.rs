//! What a shard tells of usage when nobody takes it for long.

use crate::shared::{bench, entities};
use bench::{Bench, PLAIN};
use entities::Change;
use fairlead_core::record::DeltaReader;
use fairlead_core::shard::{Bounds, UsageBounds};
use std::collections::BTreeMap;

/// Accepted messages by tag, as they were told so far.
fn accepted(bench: &Bench) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for (_, list) in &bench.usage {
        for delta in DeltaReader::parse(list).expect("a list").deltas() {
            if delta.category.name() == b"messages-accepted" {
                let tag = String::from_utf8(delta.tag.to_vec()).expect("UTF-8");
                *all.entry(tag).or_default() += delta.sums.count;
            }
        }
    }
    all
}

#[test]
fn past_their_bound_tags_are_left_out_and_no_sum_is() {
    let usage = UsageBounds {
        tagged_bytes: 0,
        ..UsageBounds::default()
    };
    let bounds = Bounds {
        usage,
        ..Bounds::default()
    };
    let mut bench = Bench::with_bounds(&[Change::Destination(0, Some(PLAIN))], bounds);
    bench.connect(1, 1);
    bench.step();
    let of =
        |untagged, tagged| BTreeMap::from([(String::new(), untagged), ("red".to_owned(), tagged)]);
    bench.publish_tagged(1, 0, ("t0", "a", "m", 1), "red");
    bench.step();
    assert_eq!(accepted(&bench), of(1, 1), "nothing was stored before it");
    // What was stored for the first is deleted at the end of this exchange.
    bench.publish_tagged(1, 0, ("t0", "a", "m", 1), "red");
    bench.step();
    assert_eq!(accepted(&bench), of(2, 1), "something was stored");
    bench.step();
    bench.publish_tagged(1, 0, ("t0", "a", "m", 1), "red");
    bench.step();
    assert_eq!(accepted(&bench), of(3, 2), "nothing is any more");
    bench.check();
}
