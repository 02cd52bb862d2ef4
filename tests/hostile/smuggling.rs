//! Requests whose length can be read in two ways, with a rightly signed notice hidden in what one of the readings leaves over. A request
//! is answered once and the connection closed, or refused and closed: the hidden one is never taken.

use super::{Calm, Counter, kept, notice, right, say, signed, status, statuses};

/// The hidden request of a case.
fn hidden(number: usize) -> Vec<u8> {
    signed(notice(&format!("inv-hidden-{number}")).as_bytes())
}

/// Heads that say nothing clear about the body; what stands behind them begins with an empty chunked body.
const HEADS: &[&str] = &[
    // both lengths
    "content-length: {len}\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ncontent-length: {len}\r\n",
    "content-length: 5\r\ntransfer-encoding: chunked\r\n",
    "content-length: 0\r\ntransfer-encoding: chunked\r\ncontent-length: {len}\r\n",
    // two lengths, and lengths that are no number
    "content-length: 5\r\ncontent-length: {len}\r\n",
    "content-length: {len}\r\ncontent-length: 5\r\n",
    "content-length: 5\r\ncontent-length: 5\r\n",
    "content-length: 5, 5\r\n",
    "content-length: 5, {len}\r\n",
    "content-length: +5\r\n",
    "content-length: -1\r\n",
    "content-length: 5 5\r\n",
    "content-length: 0x5\r\n",
    "content-length: 5e0\r\n",
    "content-length: 05\r\n",
    "content-length:\t5\r\n",
    "content-length: \"5\"\r\n",
    "content-length: ٥\r\n",
    "content-length: \r\n",
    "content-length: 18446744073709551616\r\n",
    "content-length: 18446744073709551615\r\n",
    "content-length: 99999999999999999999999999\r\n",
    "content-length : 5\r\n",
    "content-length\t: 5\r\n",
    " content-length: 5\r\n",
    "content_length: {len}\r\ncontent-length: 5\r\n",
    "content-length:\r\n 5\r\n",
    "content-length: 5\u{0}\r\n",
    "x: y\ncontent-length: 5\r\n",
    "x: y\rcontent-length: 5\r\n",
    // encodings in disguise
    "transfer-encoding: xchunked\r\ncontent-length: 5\r\n",
    "transfer-encoding: identity\r\ncontent-length: 5\r\n",
    "transfer-encoding: chunked, identity\r\n",
    "transfer-encoding: identity, chunked\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding:\tchunked\r\ncontent-length: 5\r\n",
    "transfer-encoding: CHUNKED\r\ncontent-length: 5\r\n",
    "transfer-encoding: chunked;q=1\r\ncontent-length: 5\r\n",
    "transfer-encoding: \"chunked\"\r\ncontent-length: 5\r\n",
    "transfer-encoding: chunked\u{b}\r\ncontent-length: 5\r\n",
    "transfer-encoding: chunk\u{0}ed\r\ncontent-length: 5\r\n",
    "transfer-encoding:\r\n chunked\r\ncontent-length: 5\r\n",
    "transfer-encoding: x\r\n\tchunked\r\ncontent-length: 5\r\n",
    "transfer-encoding : chunked\r\ncontent-length: 5\r\n",
    " transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    "transfer_encoding: chunked\r\ncontent-length: 5\r\n",
    "x: y\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n",
    "x: y\rtransfer-encoding: chunked\r\ncontent-length: 5\r\n",
    "x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n",
    "connection: transfer-encoding, content-length\r\ntransfer-encoding: chunked\r\n",
    // other promises about what follows
    "connection: keep-alive\r\ncontent-length: 5\r\n",
    "keep-alive: timeout=600\r\nconnection: keep-alive, upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n",
    "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 5\r\n",
    "expect: 100-continue\r\ncontent-length: 5\r\n",
    "expect: 100-continue\r\ntransfer-encoding: chunked\r\n",
    "expect: 200-ok\r\ncontent-length: 5\r\n",
    "trailer: content-length\r\ntransfer-encoding: chunked\r\n",
    "",
];

/// Chunked bodies that end in more than one way.
const CHUNKS: &[&str] = &[
    "0\r\n\r\n",
    "0\n\n",
    "0\r\n\n",
    "0\n\r\n",
    "0\r\r",
    "0;a=b\r\n\r\n",
    "0;a=\"\r\n\r\n\"\r\n\r\n",
    "5;a=\n12345\r\n0\r\n\r\n",
    "0;\n\r\n",
    " 0\r\n\r\n",
    "0 \r\n\r\n",
    "\t0\r\n\r\n",
    "00000000000000000000000000000000\r\n\r\n",
    "0x0\r\n\r\n",
    "+0\r\n\r\n",
    "-1\r\n\r\n",
    "0_0\r\n\r\n",
    "\r\n0\r\n\r\n",
    "10000000000000000\r\n\r\n",
    "FFFFFFFFFFFFFFFF\r\n\r\n",
    "FFFFFFFFFFFFFFF0\r\n\r\n",
    "5\r\n1234567\r\n0\r\n\r\n",
    "5\r\n12345X\r\n0\r\n\r\n",
    "5\r\n123450\r\n\r\n",
    "5\n12345\n0\n\n",
    "0\r\nx: y\r\n\r\n",
    "0\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    "0\r\nx: y\n\n",
    "0\r\n x: y\r\n\r\n",
    "0\r\nx : y\r\n\r\n",
];

/// First lines, each with something behind it that another server may have taken for its body. A plain question is not among them: nobody
/// reads a body into it, and its connection is kept.
const LINES: &[&str] = &[
    "GET /probe/abc HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\n\r\n",
    "GET /probe/abc HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "HEAD /probe/abc HTTP/1.1\r\nhost: x\r\n\r\n",
    "HEAD /webhooks/aipay HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    "OPTIONS /webhooks/aipay HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "TRACE /webhooks/aipay HTTP/1.1\r\nhost: x\r\n\r\n",
    "CONNECT 127.0.0.1:8780 HTTP/1.1\r\nhost: x\r\n\r\n",
    "CONNECT /webhooks/aipay HTTP/1.1\r\nhost: x\r\n\r\n",
    "PUT /webhooks/aipay HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\n\r\n",
    "post /webhooks/aipay HTTP/1.1\r\nhost: x\r\n\r\n",
    "POST http://shop.example/webhooks/aipay HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "POST http://127.0.0.1:8780/api/v1/payments HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "POST /webhooks/nobody HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\n\r\n",
    "POST /webhooks/nobody HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /webhooks/aipay HTTP/1.0\r\n\r\n",
    "POST /webhooks/aipay HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
    "POST /webhooks/aipay HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /webhooks/aipay HTTP/1.2\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "POST /webhooks/aipay HTTP/2.0\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "POST /webhooks/aipay\r\n\r\n",
    "POST /webhooks/aipay \r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "POST /webhooks/aipay HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
    "POST /webhooks/aipay HTTP/1.1\n\n",
    "\r\n\r\nPOST /webhooks/aipay HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "POST  /webhooks/aipay  HTTP/1.1\r\nhost: x\r\n\r\n",
    "POST /webhooks/aipay HTTP/1.1 \r\nhost: x\r\n\r\n",
    "POST /webhooks/aipay\tHTTP/1.1\r\nhost: x\r\n\r\n",
    "POST /webhooks/aipay\u{0} HTTP/1.1\r\nhost: x\r\n\r\n",
    "POST /webhooks/aipay?a=b HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "POST /webhooks/aipay HTTP/1.1\r\nhost: x\r\nhost: y\r\ncontent-length: 0\r\n\r\n",
    "POST /webhooks/aipay HTTP/1.1\r\n: x\r\ncontent-length: 0\r\n\r\n",
    "\0",
];

fn cases() -> Vec<Vec<u8>> {
    let heads = HEADS.iter().map(|head| format!("POST /webhooks/aipay HTTP/1.1\r\nhost: x\r\n{head}\r\n0\r\n\r\n"));
    let chunks = CHUNKS.iter().map(|chunks| {
        format!("POST /webhooks/aipay HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
    });
    let all = heads.chain(chunks).chain(LINES.iter().map(|line| (*line).to_owned())).enumerate();
    let with_hidden = all.map(|(number, outer)| {
        let hidden = hidden(number);
        let mut bytes = outer.replace("{len}", &(hidden.len() + 5).to_string()).into_bytes();
        bytes.extend_from_slice(&hidden);
        bytes
    });
    with_hidden.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_smuggled_in_behind_a_request() {
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let cases = cases();
    assert_eq!(cases.len(), 61 + 30 + 34);
    for (number, case) in cases.iter().enumerate() {
        let heard = say(&shop, case).await;
        let text = String::from_utf8_lossy(case).into_owned();
        assert!(statuses(&heard).len() <= 1, "{number}: {text}\n{heard}");
        assert!(!heard.contains("HTTP/1.1 200") || text.starts_with("GET /probe/abc "), "{number}: {text}\n{heard}");
        // None of them may shut the next one out: a minute passes.
        if number % 40 == 39 {
            shop.clock.advance(kassad::http::flood::WINDOW);
        }
    }
    assert_eq!(kept(&shop).await, 0, "a hidden notice was taken");
    // Each of them would have been taken, had it been seen.
    for number in 0..cases.len() {
        assert_eq!(status(&say(&shop, &hidden(number)).await), 200, "{number}");
    }
    assert_eq!(kept(&shop).await, i64::try_from(cases.len()).unwrap());
    calm.holds();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_pipelined_requests_the_first_is_served_and_no_other() {
    let calm = Calm::watch();
    let shop = Counter::open().await;
    for count in 2..6 {
        let all: Vec<u8> =
            (0..count).flat_map(|number| signed(notice(&format!("inv-{count}-{number}")).as_bytes())).collect();
        let before = kept(&shop).await;
        assert_eq!(status(&say(&shop, &all).await), 200, "{count}");
        assert_eq!(kept(&shop).await, before + 1);
    }
    // A genuine notice with rubbish behind it is a genuine notice.
    let body = notice("inv-rubbish");
    let mut bytes = signed(body.as_bytes());
    bytes.extend_from_slice(&[0xFF; 5000]);
    assert_eq!(status(&say(&shop, &bytes).await), 200);
    // And so is one behind empty lines (RFC 9112 §2.2).
    let bytes = [b"\r\n\r\n".to_vec(), signed(notice("inv-blank").as_bytes())].concat();
    assert_eq!(status(&say(&shop, &bytes).await), 200);
    // Its signature covers the body and not a byte of the rubbish.
    let mut longer = body.clone().into_bytes();
    longer.extend_from_slice(b" ");
    assert_eq!(status(&say(&shop, &super::post(&right(body.as_bytes()), &longer)).await), 403);
    calm.holds();
    shop.close().await;
}
