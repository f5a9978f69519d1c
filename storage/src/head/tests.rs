use std::sync::RwLock;

use super::forget::{IDLE_CUTS_MAX, end_cut};
use super::*;
use crate::Matcher;

fn labels(name: &str, job: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", job)]).unwrap()
}

fn head(pairs: &[(&str, &str)]) -> Head {
    let mut head = Head::new(1000);
    for (i, (name, job)) in pairs.iter().enumerate() {
        let series = head.insert(SeriesId(i as u64), &labels(name, job)).unwrap();
        head.push(series, 10 + i as i64, i as f64);
    }
    head
}

#[track_caller]
fn check(head: &Head, op: crate::MatchOp, name: &str, value: &str, expected: &[u32]) {
    let m = Matcher::new(op, name, value).unwrap();
    assert_eq!(head.select(std::slice::from_ref(&m)), expected, "{name} {op:?} {value}");
    // The same by asking series for their labels: a second matcher that nearly all pass.
    let few = Matcher::new(crate::MatchOp::Regex, "__name__", "up|ups").unwrap();
    let both: Vec<u32> = head.select(std::slice::from_ref(&few)).into_iter().filter(|s| expected.contains(s)).collect();
    assert_eq!(head.select(&[m, few]), both, "{name} {op:?} {value}");
}

#[test]
fn selects_by_postings() {
    use crate::MatchOp::*;
    let h = head(&[("up", "a"), ("up", "b"), ("down", ""), ("ups", "c")]);
    check(&h, Equal, "__name__", "up", &[0, 1]);
    check(&h, Equal, "job", "", &[2]);
    check(&h, NotEqual, "job", "a", &[1, 2, 3]);
    check(&h, NotEqual, "job", "", &[0, 1, 3]);
    check(&h, Regex, "job", "a|c", &[0, 3]);
    check(&h, Regex, "job", "a|", &[0, 2]);
    check(&h, Regex, "__name__", "up.*", &[0, 1, 3]);
    check(&h, Regex, "__name__", "up.+", &[3]);
    check(&h, Regex, "job", ".*", &[0, 1, 2, 3]);
    check(&h, Regex, "job", ".+", &[0, 1, 3]);
    check(&h, NotRegex, "job", "a|c", &[1, 2]);
    check(&h, NotRegex, "job", "[ab]?", &[3]);
    check(&h, Regex, "absent", "x", &[]);
    check(&h, NotEqual, "absent", "x", &[0, 1, 2, 3]);
}

#[test]
fn forgets_series_that_stay_empty() {
    let h = RwLock::new(head(&[("up", "a"), ("up", "b")]));
    h.write().unwrap().push(1, 5000, 0.0);
    for _ in 0..IDLE_CUTS_MAX {
        h.write().unwrap().take_page(0, 2000, |_, _| {});
        h.write().unwrap().end_take_page(0, true);
        end_cut(&h, true, 2000);
    }
    let h = h.into_inner().unwrap();
    assert_eq!((h.series_count(), h.sample_count(), h.range()), (1, 1, Some((5000, 5000))));
    assert_eq!(h.chunk_count(), h.page(0).map(|(_, s)| s.chunk_count() as u64).sum::<u64>());
    assert_eq!(h.find(&labels("up", "a")), None);
    assert_eq!(h.resolve(SeriesId(0)), None);
    assert_eq!(h.find(&labels("up", "b")), Some(1));
    assert_eq!(h.values("job").collect::<Vec<_>>(), ["b"]);
    assert_eq!(h.next_id(), SeriesId(2));
}

#[test]
fn cardinality_lists_the_largest() {
    let c = head(&[("up", "a"), ("up", "b"), ("down", "a"), ("up", "longer")]).cardinality(2);
    assert_eq!(c.series_by_metric, [("up".into(), 3), ("down".into(), 1)]);
    assert_eq!(c.values_by_label, [("job".into(), 3), ("__name__".into(), 2)]);
    assert_eq!(c.bytes_by_label, [("job".into(), 8), ("__name__".into(), 6)]);
    assert_eq!(c.series_by_pair, [("__name__=up".into(), 3), ("job=a".into(), 2)]);
    assert_eq!(c.label_pairs, 5);
}

#[test]
fn short_lists_are_filtered_by_the_labels_of_their_series() {
    use crate::MatchOp::*;
    let mut h = Head::new(1000);
    for i in 0..5000u32 {
        let (name, host, odd) = (format!("m{}", i % 50), format!("h{}", i / 50), (i % 2).to_string());
        let labels = Labels::from_pairs([("__name__", &*name), ("host", &host), ("odd", &odd)]).unwrap();
        h.insert(SeriesId(u64::from(i)), &labels).unwrap();
    }
    let select = |matchers: &[(crate::MatchOp, &str, &str)]| {
        let matchers: Vec<_> = matchers.iter().map(|&(op, n, v)| Matcher::new(op, n, v).unwrap()).collect();
        h.select(&matchers)
    };
    assert_eq!(select(&[(Equal, "host", "h3"), (Equal, "odd", "1")]).len(), 25);
    assert_eq!(select(&[(Equal, "host", "h3"), (NotEqual, "odd", "1")]).len(), 25);
    assert_eq!(select(&[(Equal, "__name__", "m7"), (Regex, "host", "h[12].")]).len(), 20);
    assert_eq!(select(&[(Equal, "__name__", "m7"), (NotRegex, "host", "h[12].")]).len(), 80);
    assert_eq!(select(&[(Equal, "host", "h3"), (Equal, "__name__", "m7"), (Equal, "odd", "1")]), [157]);
}

/// What is forgotten leaves nothing behind, in portions or at once, also while others come and go.
#[test]
fn a_head_that_is_emptied_is_empty() {
    let h = RwLock::new(Head::new(1000));
    for round in 0..3u64 {
        {
            let mut h = h.write().unwrap();
            for i in 0..2000u64 {
                let id = round * 10_000 + i;
                let labels = [("__name__", format!("m{}", i % 7)), ("id", format!("{id}")), ("all", "x".to_owned())];
                let labels = Labels::from_pairs(labels.iter().map(|(n, v)| (*n, v.as_str()))).unwrap();
                assert_eq!(h.find(&labels), None);
                let series = h.insert(SeriesId(id), &labels).unwrap();
                assert_eq!(h.find(&labels), Some(series));
                if i % 1000 == 1 {
                    h.push(series, 5000, 0.0);
                }
            }
        }
        for _ in 0..IDLE_CUTS_MAX {
            end_cut(&h, true, 0);
        }
        let h = h.read().unwrap();
        let left = (round + 1) * 2;
        assert_eq!((h.series_count(), h.values("id").count() as u64), (left, left));
        assert_eq!(h.select(&[Matcher::new(crate::MatchOp::Equal, "all", "x").unwrap()]).len() as u64, left);
        assert_eq!(h.values("__name__").count(), 2);
        assert_eq!(h.range(), Some((5000, 5000)));
    }
}

#[test]
fn an_old_number_is_replaced_by_a_new_one() {
    let mut h = head(&[("up", "a"), ("up", "b")]);
    h.skip_ids(10);
    assert_eq!(h.insert(SeriesId(3), &labels("up", "c")), Some(10));
    check(&h, crate::MatchOp::Equal, "__name__", "up", &[0, 1, 10]);
}

#[test]
fn many_labels_are_found_again() {
    let mut h = Head::new(1000);
    let pairs: Vec<(String, String)> = (0..100).map(|i| (format!("l{i}"), format!("v{i}"))).collect();
    for count in [0, 1, 2, 31, 32, 33, 100] {
        let labels = Labels::from_pairs(pairs[..count].iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap();
        assert_eq!(h.find(&labels), None);
        let series = h.insert(h.next_id(), &labels).unwrap();
        assert_eq!((h.find(&labels), h.labels(series)), (Some(series), Some(labels)));
    }
}
