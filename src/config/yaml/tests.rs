use super::*;

#[track_caller]
fn refused(text: &str, expected: &str) {
    let problem = parse(text).unwrap_err();
    assert_eq!(format!("{}: {}", problem.pos, problem.message), expected, "{text}");
}

#[track_caller]
fn emitted(text: &str, expected: &str) {
    assert_eq!(emit(&parse(text).unwrap()), expected, "{text}");
}

#[test]
fn places_count_from_one_in_characters() {
    let root = parse("# ä\na:\n  - b\n  - ü: {c: 1}\n").unwrap();
    let list = root.entries().unwrap()[0].value.list().unwrap();
    assert_eq!(list[0].pos, Pos { line: 3, column: 5 });
    let inner = &list[1].entries().unwrap()[0];
    assert_eq!(inner.key_pos, Pos { line: 4, column: 5 });
    assert_eq!(inner.value.entries().unwrap()[0].value.pos, Pos { line: 4, column: 12 });
}

#[test]
fn syntax_is_refused_with_its_place() {
    refused("a: 1\na: 2\n", r#"2:1: key "a" is given twice; the first is on line 1"#);
    refused("a: 1\n---\nb: 2\n", "2:1: a second document begins here; one file holds one document");
    refused("a: !include x\n", "1:4: tag !include is not known here; remove it");
    refused("? [a]\n: b\n", "1:3: a key must be a text");
    refused("a: *x\n", "1:4: not valid YAML: while parsing node, found unknown anchor");
    refused("a: &x [*x]\n", "1:8: this alias stands inside what it refers to");
    refused("x:\n  <<: 3\n", "2:7: << takes a map, found a text");
    assert!(parse("a: [1, 2\nb: 3").is_err());
    assert!(parse("a:\n\t- b").is_err());
}

#[test]
fn aliases_and_merge_keys_unfold() {
    emitted(
        "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b]",
        "base:\n  x: 1\n  y: 2\nuse:\n  y: 3\n  x: 1\nlist:\n- x: 1\n  y: 2\n",
    );
    emitted(
        "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc:\n  <<: [*a, *b]",
        "a:\n  x: 1\nb:\n  x: 2\n  y: 2\nc:\n  x: 1\n  y: 2\n",
    );
}

#[test]
fn an_empty_key_is_written_so_that_it_reads_again() {
    let written = "a: ~\n~: ~\n\"\": ~\n";
    emitted("a:\n~:\n? >-\n:\n", written);
    emitted(written, written);
}

#[test]
fn a_long_key_is_written_so_that_it_reads_again() {
    let key = "k".repeat(1100);
    for value in [" 1\n", "\n    - 1\n", "\n    a: 1\n"] {
        let written = format!("top:\n  ? {key}\n  :{value}  b: 2\n");
        emitted(&written, &written);
    }
    emitted(&format!("- ? {key}\n  : {{}}\n"), &format!("- ? {key}\n  : {{}}\n"));
}

#[test]
fn alias_bombs_end_early() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..9 {
        let prior = i - 1;
        text += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{prior}"); 10].join(", "));
    }
    let problem = parse(&text).unwrap_err();
    assert_eq!(problem.message, "the file unfolds into more than 1000000 values");
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{}{}", "[".repeat(150), "]".repeat(150));
    assert_eq!(parse(&deep).unwrap_err().message, "more than 100 levels of nesting");
    assert!(parse(&"- ".repeat(5000)).is_err());
}

#[test]
fn nothing_is_null() {
    for text in ["", "# only a comment\n", "---\n", "~", "null"] {
        assert!(parse(text).unwrap().is_null(), "{text:?}");
    }
    assert!(!parse("'null'").unwrap().is_null());
    assert!(!parse("!!str null").unwrap().is_null());
    assert_eq!(parse("\u{feff}a: 1").unwrap().entries().unwrap()[0].key, "a");
}

#[test]
fn scalars_read_as_what_is_asked() {
    let node = |text: &str| parse(text).unwrap();
    assert_eq!(node("0123").text(), Ok("0123"));
    assert_eq!(node("yes").boolean(), Ok(true));
    assert_eq!(node("maybe").boolean(), Err("expected true or false, found \"maybe\"".to_owned()));
    assert_eq!(node("1e3").unsigned(), Ok(1000));
    assert_eq!(node("18446744073709551615").unsigned(), Ok(u64::MAX));
    assert!(node("1.5").unsigned().is_err() && node("1e30").unsigned().is_err() && node("nan").unsigned().is_err());
    assert_eq!(node("-1").unsigned(), Err("expected a whole number of at least 0, found \"-1\"".to_owned()));
    assert_eq!(node("[a]").text(), Err("expected a text, found a list".to_owned()));
    assert_eq!(node("a").list(), Err("expected a list, found a text".to_owned()));
    assert_eq!(node("a").entries(), Err("expected a map, found a text".to_owned()));
}

#[test]
fn emitted_text_reads_back() {
    let text = r#"
a: "1"
b: 1
c: [x, "y: z", '#', "", ~, [], {}, [p, [q]], {k: v}]
"d: e": "tab\t nl\n q\" \\ \x07 ü"
e: {f: {g: [{h: i, j: k}]}}
t: host:9090
u: http://x:1/y
w: '*star'
"#;
    let strip = |node: &Node| format!("{:?}", unplaced(node));
    let tree = parse(text).unwrap();
    let again = parse(&emit(&tree)).unwrap_or_else(|e| panic!("{e:?}\n{}", emit(&tree)));
    assert_eq!(strip(&tree), strip(&again), "{}", emit(&tree));
}

/// Texts, lists and maps without places; whether a scalar is null is kept, how it was quoted is not.
fn unplaced(node: &Node) -> serde_json::Value {
    match &node.value {
        _ if node.is_null() => serde_json::Value::Null,
        Value::Scalar { text, .. } => text.as_str().into(),
        Value::List(items) => items.iter().map(unplaced).collect(),
        Value::Map(entries) => entries.iter().map(|e| (e.key.clone(), unplaced(&e.value))).collect(),
    }
}

#[test]
fn the_nearest_word_is_found() {
    let known = ["scrape_interval", "scrape_timeout", "evaluation_interval"];
    assert_eq!(nearest("scrape_intervall", known), Some("scrape_interval"));
    assert_eq!(nearest("Scrape-Timeout", known), Some("scrape_timeout"));
    assert_eq!(nearest("tls", known), None);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[-a-z:\\[\\]{}&*!|>'\"#%@, \n\t?<]{0,60}") {
        if let Ok(tree) = parse(&text) {
            let again = parse(&emit(&tree)).unwrap_or_else(|e| panic!("{e:?} in {:?}", emit(&tree)));
            proptest::prop_assert_eq!(unplaced(&tree), unplaced(&again));
        }
    }
}
