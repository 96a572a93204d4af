//! What controller and agent say to each other: a call, its answer, a piece of a file.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use pgfleet_protocol::{Chunk, Decoder, Frame, FromAgent, Map, Mode, Outcome, Request, ToAgent, encode};
use serde_json::{Value, json};

/// Bytes of a piece.
const PIECE: usize = 256 * 1024;

pub(crate) fn measure(criterion: &mut Criterion) {
    let arguments = json!({"path": "/etc/patroni/config.yml", "content": "scope: demo\n".repeat(100), "mode": "0640", "owner": "root"});
    let Value::Object(arguments) = arguments else { return };
    let call = ToAgent::Run(request(arguments));
    let answer = FromAgent::Done { id: 7, outcome: Outcome::changed().with("stdout", "x".repeat(4000)).with("rc", 0) };
    let mut group = criterion.benchmark_group("frames");
    group.bench_function("a call, encoded", |bench| bench.iter(|| encode(black_box(&call)).expect("encodes")));
    group.bench_function("its answer, there and back", |bench| {
        bench.iter(|| {
            let mut decoder = Decoder::default();
            decoder.push(&encode(black_box(&answer)).expect("encodes"));
            decoder.next_frame::<FromAgent>().expect("decodes").expect("a frame")
        });
    });
    let piece = Chunk { id: 8, last: false, bytes: vec![7; PIECE] }.encode().expect("encodes");
    group.throughput(Throughput::Bytes(PIECE as u64));
    group.bench_function("a piece of a file, decoded", |bench| {
        bench.iter(|| {
            let mut decoder = Decoder::default();
            decoder.push(black_box(&piece));
            let frame: Option<Frame<FromAgent>> = decoder.next_frame().expect("decodes");
            frame.expect("a frame")
        });
    });
    group.finish();
}

fn request(arguments: Map) -> Request {
    Request {
        id: 7,
        module: "copy".to_owned(),
        arguments,
        mode: Mode::Apply,
        diff: false,
        brief: true,
        environment: Vec::new(),
        detached: None,
    }
}
