//! Merging the chunks of one series from several sources into one rising row.
//!
//! Here: [`merge_chunks`].
//! Elsewhere: the same for queries, without encoding (`querier`).
//!
//! Invariant: of samples with the same time the one from the earlier source stays; chunks that overlap nothing are
//! passed on as they are, so most of a merge is copying.

use crate::chunk;
use crate::head::series::{CHUNK_SAMPLES_MAX, Sealed, encode_run};

/// Rising, disjoint chunks from `chunks`, which come by rank. `None` if one of them cannot be decoded.
pub(crate) fn merge_chunks(chunks: Vec<Sealed>) -> Option<Vec<Sealed>> {
    let mut order: Vec<(usize, Sealed)> = chunks.into_iter().enumerate().collect();
    order.sort_by_key(|(rank, c)| (c.min_t, *rank));
    let mut out = Vec::with_capacity(order.len());
    let mut rest = order.into_iter().peekable();
    while let Some(first) = rest.next() {
        let mut end = first.1.max_t;
        let mut group = vec![first];
        while let Some(next) = rest.next_if(|(_, c)| c.min_t <= end) {
            end = end.max(next.1.max_t);
            group.push(next);
        }
        match group.as_slice() {
            [(_, alone)] => out.push(alone.clone()),
            _ => recode(group, &mut out)?,
        }
    }
    Some(out)
}

fn recode(mut group: Vec<(usize, Sealed)>, out: &mut Vec<Sealed>) -> Option<()> {
    group.sort_by_key(|(rank, _)| *rank);
    let mut samples: Vec<(i64, u64)> = Vec::new();
    for (_, c) in &group {
        chunk::decode(&c.bytes, c.count, |t, v| {
            samples.push((t, v.to_bits()));
            true
        })?;
    }
    // Stable: of equal times the one of the lowest rank comes first and stays.
    samples.sort_by_key(|&(t, _)| t);
    samples.dedup_by_key(|&mut (t, _)| t);
    out.extend(samples.chunks(CHUNK_SAMPLES_MAX as usize).filter_map(encode_run));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(samples: &[(i64, f64)]) -> Sealed {
        encode_run(&samples.iter().map(|&(t, v)| (t, v.to_bits())).collect::<Vec<_>>()).unwrap()
    }

    #[track_caller]
    fn check(chunks: Vec<Sealed>, chunk_count: usize, expected: &[(i64, f64)]) {
        let merged = merge_chunks(chunks).unwrap();
        assert_eq!(merged.len(), chunk_count);
        let mut found = Vec::new();
        for c in &merged {
            chunk::decode(&c.bytes, c.count, |t, v| {
                found.push((t, v));
                true
            })
            .unwrap();
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn earlier_sources_win_and_order_is_by_time() {
        check(vec![run(&[(5, 1.0)]), run(&[(1, 2.0), (2, 2.0)])], 2, &[(1, 2.0), (2, 2.0), (5, 1.0)]);
        check(
            vec![run(&[(1, 1.0), (5, 1.0)]), run(&[(0, 2.0), (1, 2.0), (3, 2.0)])],
            1,
            &[(0, 2.0), (1, 1.0), (3, 2.0), (5, 1.0)],
        );
        check(vec![run(&[(1, 1.0)]), run(&[(1, 2.0)])], 1, &[(1, 1.0)]);
        check(vec![], 0, &[]);
    }

    #[test]
    fn a_chunk_that_cannot_be_decoded_stops_the_merge() {
        let mut bad = run(&[(1, 1.0), (9, 2.0)]);
        bad.bytes = bad.bytes[..3].into();
        assert!(merge_chunks(vec![bad, run(&[(2, 1.0)])]).is_none());
    }
}
