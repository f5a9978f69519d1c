//! For unit tests: a database that takes room.

use crate::{Batch, Db, Durability, Labels};

#[path = "../tests/support/random.rs"]
mod random;

use random::Random;

/// Appends a sample of each of twenty series at each of `times`, with values that nothing makes smaller.
pub(crate) fn fill_with_noise(db: &Db, times: impl IntoIterator<Item = i64>) {
    for t in times {
        let (mut batch, mut random) = (Batch::new(), Random(t as u64));
        for series in 0..20 {
            let labels = [("__name__", "m"), ("i", &*format!("{series}"))];
            batch.push(Labels::from_pairs(labels).unwrap(), t, f64::from_bits(random.next() >> 2));
        }
        db.append(&mut batch, t, Durability::Written).unwrap();
    }
}
