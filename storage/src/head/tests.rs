use super::*;

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
    assert_eq!(head.select(&[m]), expected, "{name} {op:?} {value}");
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
    let mut h = head(&[("up", "a"), ("up", "b")]);
    h.push(1, 5000, 0.0);
    for _ in 0..IDLE_CUTS_MAX {
        h.take_page(0, 2000, |_, _| {});
        h.end_take_page(0, true);
        h.end_cut(true, 2000);
    }
    assert_eq!((h.series_count(), h.sample_count(), h.range()), (1, 1, Some((5000, 5000))));
    assert_eq!(h.chunk_count(), h.pages.iter().map(|(_, s)| s.chunk_count() as u64).sum::<u64>());
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
