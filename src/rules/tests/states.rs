//! One group, evaluation by evaluation.

use std::time::Duration;

use super::*;
use AlertState::{Firing, Pending};

const DOWN: &str = "  - alert: Down\n    expr: up == 0\n    for: 2m\n    labels: {severity: page, who: '{{ $labels.job }}-{{ $value }}'}\n    \
                    annotations: {summary: '{{ $labels.instance }} of {{ $externalLabels.site }} at {{ $value }}'}\n";

#[test]
fn pending_firing_resolved_and_the_series_about_it() {
    let b = Bench::new(DOWN);
    for (minute, up) in [(0, 1.0), (1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0), (5, 1.0)] {
        b.put("__name__=up,job=n,instance=i", minute, up);
    }
    let expected: [&[(AlertState, i64)]; 6] =
        [&[], &[(Pending, 1)], &[(Pending, 1)], &[(Firing, 1)], &[(Firing, 1)], &[]];
    for (minute, expected) in (0..).zip(expected) {
        b.evaluate(minute);
        assert_eq!(b.alerts(), expected, "minute {minute}");
        if minute == 3 {
            let RuleStatusKind::Alerting { state, alerts, for_seconds, .. } = b.rule(0).kind else { panic!() };
            assert_eq!((state, for_seconds), (Firing, 120.0));
            assert_eq!(alerts[0].labels, labels("alertname=Down,instance=i,job=n,severity=page,who=n-0"));
            assert_eq!(alerts[0].annotations["summary"], "i of here at 0");
            assert_eq!(alerts[0].value, 0.0);
        }
    }
    let base = r#"alertname="Down", "#;
    let rest = r#"instance="i", job="n", severity="page", who="n-0"}"#;
    assert_eq!(
        b.store.samples("ALERTS"),
        [
            format!("ALERTS{{{base}alertstate=\"firing\", {rest} 180 1"),
            format!("ALERTS{{{base}alertstate=\"firing\", {rest} 240 1"),
            format!("ALERTS{{{base}alertstate=\"firing\", {rest} 300 stale"),
            format!("ALERTS{{{base}alertstate=\"pending\", {rest} 60 1"),
            format!("ALERTS{{{base}alertstate=\"pending\", {rest} 120 1"),
            format!("ALERTS{{{base}alertstate=\"pending\", {rest} 180 stale"),
        ]
    );
    let since = (START + MINUTE) / 1000;
    assert_eq!(
        b.store.samples("ALERTS_FOR_STATE"),
        [
            (60, since.to_string()),
            (120, since.to_string()),
            (180, since.to_string()),
            (240, since.to_string()),
            (300, "stale".to_owned())
        ]
        .map(|(t, v)| format!("ALERTS_FOR_STATE{{{base}{rest} {t} {v}"))
    );
}

#[test]
fn a_pending_alert_that_ends_leaves_no_trace() {
    let b = Bench::new(DOWN);
    for (minute, up) in [(0, 0.0), (1, 1.0), (2, 0.0)] {
        b.put("__name__=up,job=n,instance=i", minute, up);
        b.evaluate(minute);
    }
    assert_eq!(b.alerts(), [(Pending, 2)], "the time starts anew");
}

#[test]
fn keep_firing_for_bridges_gaps() {
    let b = Bench::new("  - alert: A\n    expr: x > 0\n    keep_firing_for: 3m\n");
    let holds = [true, false, true, false, false, false, false];
    let firing = [true, true, true, true, true, true, false];
    for (minute, (holds, firing)) in (0..).zip(holds.into_iter().zip(firing)) {
        b.put("__name__=x", minute, f64::from(u8::from(holds)));
        b.evaluate(minute);
        assert_eq!(!b.alerts().is_empty(), firing, "minute {minute}");
        let RuleStatusKind::Alerting { alerts, .. } = b.rule(0).kind else { panic!() };
        let kept_since = alerts.first().and_then(|a| a.keep_firing_since).map(|t| (t - START) / MINUTE);
        let expected = if holds || !firing { None } else { Some(if minute == 1 { 1 } else { 3 }) };
        assert_eq!(kept_since, expected, "minute {minute}");
    }
}

#[test]
fn a_resolved_alert_is_known_for_a_quarter_of_an_hour_and_told_again() {
    let mut active = alerting::Active::new();
    let holds = alerting::Holds { for_ms: 0, keep_firing_for_ms: 0 };
    let found = || vec![alerting::Found { labels: labels("a=1"), annotations: BTreeMap::new(), value: 1.0 }];
    let told = |active: &mut alerting::Active, t| alerting::take_due(active, t * MINUTE, 60_000).len();
    alerting::update(&mut active, found(), 0, holds, 0).unwrap();
    assert_eq!(told(&mut active, 0), 1);
    alerting::update(&mut active, found(), MINUTE, holds, 0).unwrap();
    assert_eq!(told(&mut active, 1), 0, "not before the resend delay has passed");
    assert_eq!(told(&mut active, 2), 1);
    for minute in 3..=18 {
        alerting::update(&mut active, Vec::new(), minute * MINUTE, holds, 0).unwrap();
        assert_eq!(active.values().next().unwrap().resolved_at, Some(3 * MINUTE));
        assert_eq!(told(&mut active, minute), usize::from(minute % 2 == 1), "minute {minute}");
    }
    alerting::update(&mut active, Vec::new(), 19 * MINUTE, holds, 0).unwrap();
    assert!(active.is_empty());
}

#[test]
fn recorded_series_carry_labels_and_end_with_a_marker() {
    let b = Bench::new(
        "  - record: job:x:sum\n    expr: sum by (job) (x)\n    labels: {from: rule}\n  - record: twice\n    expr: job:x:sum * 2\n",
    );
    b.put("__name__=x,job=a,i=1", 0, 1.0);
    b.put("__name__=x,job=a,i=2", 0, 2.0);
    b.put("__name__=x,job=b,i=1", 0, 5.0);
    b.evaluate(0);
    b.put("__name__=x,job=a,i=1", 10, 7.0);
    b.evaluate(10);
    assert_eq!(
        b.store.samples("job:x:sum"),
        [
            r#"job:x:sum{from="rule", job="a"} 0 3"#,
            r#"job:x:sum{from="rule", job="a"} 600 7"#,
            r#"job:x:sum{from="rule", job="b"} 0 5"#,
            r#"job:x:sum{from="rule", job="b"} 600 stale"#,
        ]
    );
    // The second rule sees what the first one wrote just before.
    assert_eq!(
        b.store.samples("twice")[..2],
        [r#"twice{from="rule", job="a"} 0 6"#, r#"twice{from="rule", job="a"} 600 14"#]
    );
    assert_eq!(b.rule(0).last_evaluation, Some(START + 10 * MINUTE));
}

#[test]
fn a_failing_rule_stops_no_other() {
    let b = Bench::new(
        "  - record: bad\n    expr: x * on (job) group_left y\n  - record: same\n    expr: x\n    labels: {i: ''}\n  - record: good\n    expr: count(x)\n",
    );
    for i in ["i=1", "i=2"] {
        b.put(&format!("__name__=x,job=a,{i}"), 0, 1.0);
        b.put(&format!("__name__=y,job=a,{i}"), 0, 1.0);
    }
    b.evaluate(0);
    let health: Vec<Health> = b.group.status().rules.iter().map(|r| r.health).collect();
    assert_eq!(health, [Health::Bad, Health::Bad, Health::Good]);
    assert!(b.rule(0).last_error.unwrap().contains("many-to-many matching not allowed"));
    assert_eq!(
        b.rule(1).last_error.unwrap(),
        "vector contains metrics with the same labelset after applying rule labels"
    );
    assert_eq!(b.store.samples("good"), ["good 0 2"]);
    let metrics = b.registry.render();
    assert!(metrics.contains("prometheus_rule_evaluations_total{rule_group=\"r.yml;g\"} 3"), "{metrics}");
    assert!(metrics.contains("prometheus_rule_evaluation_failures_total{rule_group=\"r.yml;g\"} 2"), "{metrics}");
    assert!(metrics.contains("prometheus_rule_group_last_evaluation_samples{rule_group=\"r.yml;g\"} 1.0"), "{metrics}");
}

#[test]
fn rules_and_their_templates_ask_in_the_name_of_their_group() {
    let b = Bench::new(
        "  - {record: r, expr: x + 1}\n  - {alert: A, expr: x > 0, annotations: {all: '{{ query \"count(x)\" | first | value }}'}}\n",
    );
    b.put("__name__=x", 0, 1.0);
    b.evaluate(0);
    let asked = lock(&b.store.asked).clone();
    assert_eq!(asked, ["r.yml g: x + 1", "r.yml g: x > 0", "r.yml g: count(x)"]);
}

#[test]
fn limits_and_offsets_of_a_group() {
    let text = |limit: u64, offset: &str| {
        let rules = "  - {record: r, expr: x}\n  - {alert: A, expr: x > 0}\n";
        format!("groups:\n- name: g\n  limit: {limit}\n  query_offset: {offset}\n  rules:\n{rules}")
    };
    let mut b = Bench::new(DOWN);
    b.group = Group::new(read_rule_file("r.yml", &text(1, "0s")).unwrap().remove(0), MINUTE, false);
    b.put("__name__=x,i=1", 0, 1.0);
    b.put("__name__=x,i=2", 0, 2.0);
    b.evaluate(0);
    assert_eq!(b.rule(0).last_error.as_deref(), Some("exceeded limit of 1 with 2 series"));
    assert_eq!(b.rule(1).last_error.as_deref(), Some("exceeded limit of 1 with 2 alerts"));
    b.group = Group::new(read_rule_file("r.yml", &text(0, "3m")).unwrap().remove(0), MINUTE, false);
    b.evaluate(3);
    assert_eq!(b.store.samples("r"), ["r{i=\"1\"} 0 1", "r{i=\"2\"} 0 2"], "looked at and written three minutes back");
}

#[test]
fn a_template_that_fails_says_so_in_its_place() {
    let b = Bench::new(
        "  - alert: A\n    expr: x\n    annotations: {a: 'x {{ first (query \"none\") }}', b: '{{ query \"x\" | first | value }}'}\n",
    );
    b.put("__name__=x", 0, 4.0);
    b.evaluate(0);
    let RuleStatusKind::Alerting { alerts, .. } = b.rule(0).kind else { panic!() };
    assert_eq!(
        alerts[0].annotations["a"],
        "<error expanding template: error executing template __alert_A: template: __alert_A:1:6: error calling first: first() called on vector with no elements>"
    );
    assert_eq!(alerts[0].annotations["b"], "4");
    assert_eq!(b.rule(0).health, Health::Good);
}

/// What was written before an outage, then a new group on the same store.
fn after_restart(for_minutes: i64, pending_minutes: i64, outage_minutes: i64) -> Vec<(AlertState, i64)> {
    let rules =
        format!("  - alert: Down\n    expr: up == 0\n    for: {for_minutes}m\n    labels: {{severity: page}}\n");
    let before = Bench::new(&rules);
    for minute in 0..=pending_minutes {
        before.put("__name__=up,job=n", minute, 0.0);
        before.evaluate(minute);
    }
    let after = Bench::on(Arc::clone(&before.store), &rules, true);
    let back = pending_minutes + outage_minutes;
    let written = before.store.samples("ALERTS_FOR_STATE").len();
    for minute in [back, back + 1] {
        after.put("__name__=up,job=n", minute, 0.0);
        after.evaluate(minute);
    }
    assert_eq!(after.store.samples("ALERTS_FOR_STATE").len(), written, "nothing is written before states are known");
    after.group.restore(&after.ctx);
    after.put("__name__=up,job=n", back + 2, 0.0);
    after.evaluate(back + 2);
    after.alerts()
}

#[test]
fn states_survive_a_restart_as_in_prometheus() {
    // Restoring happens one minute after coming back: an outage of 5 minutes counts as 6.
    assert_eq!(after_restart(30, 5, 5), [(Pending, 6)], "the outage does not count");
    assert_eq!(after_restart(30, 40, 5), [(Firing, 0)], "it was firing and goes on");
    assert_eq!(
        after_restart(30, 25, 5),
        [(Pending, 25 + 6 + 10 - 30)],
        "it fires no sooner than the grace period ends"
    );
    assert_eq!(after_restart(30, 5, 120), [(Pending, 125)], "too long ago to know");
    assert_eq!(after_restart(5, 3, 5), [(Pending, 8)], "shorter than the grace period: not restored");
}

#[test]
fn timestamps_are_aligned_and_spread_by_key() {
    let minute = Duration::from_secs(60).as_millis() as i64;
    let a = schedule::slot_before(START + 90_000, minute, "a.yml;g");
    assert!(a <= START + 90_000 && a > START + 30_000);
    assert_eq!(schedule::slot_before(a, minute, "a.yml;g"), a);
    assert_eq!(schedule::slot_before(a + minute - 1, minute, "a.yml;g"), a);
    let offsets: std::collections::BTreeSet<i64> =
        (0..20).map(|i| schedule::slot_before(START, minute, &format!("a.yml;{i}")) % minute).collect();
    assert!(offsets.len() > 10, "{offsets:?}");
}
