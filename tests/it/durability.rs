//! What was acknowledged is there after `kill -9`; a second process on the same directory is refused.

use crate::support::Cairn;

pub mod push {
    //! The smallest remote-write sender.

    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Label {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Sample {
        #[prost(double, tag = "1")]
        pub value: f64,
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
    }

    /// A snappy body with one sample of `name` for each value of label `i`.
    pub fn body(name: &str, series: std::ops::Range<usize>, t: i64, value: f64) -> Vec<u8> {
        let label = |name: &str, value: String| Label { name: name.to_owned(), value };
        let timeseries = series
            .map(|i| TimeSeries {
                labels: vec![label("__name__", name.to_owned()), label("i", i.to_string())],
                samples: vec![Sample { value, timestamp: t }],
            })
            .collect();
        pack(timeseries)
    }

    /// A snappy body with these series.
    pub fn pack(timeseries: Vec<TimeSeries>) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(&WriteRequest { timeseries }.encode_to_vec()).unwrap()
    }
}

pub use push::body;

fn now_ms() -> i64 {
    cairn::clock::Clock::system().now_ms()
}

#[tokio::test]
async fn acknowledged_pushes_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let first = Cairn::start(dir.path(), &[]);
    let base = now_ms() - 60_000;
    for round in 0..20 {
        let sent = first
            .post("/api/v1/write")
            .body(body("pushed", 0..50, base + round * 1000, round as f64))
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status(), 204, "{}", sent.text().await.unwrap());
    }
    first.kill();
    let second = Cairn::start(dir.path(), &[]);
    assert_eq!(second.value("sum(count_over_time(pushed[5m]))").await, Some(1000.0));
    assert_eq!(second.value("sum(sum_over_time(pushed[5m]))").await, Some(50.0 * (0..20).sum::<i32>() as f64));
    second.stop();
    let third = Cairn::start(dir.path(), &[]);
    assert_eq!(third.value("sum(count_over_time(pushed[5m]))").await, Some(1000.0));
}

#[tokio::test]
async fn a_second_process_on_the_directory_is_refused_with_words() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Cairn::start(dir.path(), &[]);
    let log = Cairn::try_start(dir.path(), &[]).err().expect("the second one must not start");
    assert!(log.contains("in use by another process"), "{log}");
    assert!(first.is_up());
}
