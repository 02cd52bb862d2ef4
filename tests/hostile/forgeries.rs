//! Headers, bodies and signatures of every kind: what is not rightly signed leaves no trace and hears one and the same answer; what is
//! rightly signed is kept, whatever a proxy did to its envelope.

use super::{Calm, Counter, chunked, kept, metric, notice, post, right, say, signed, status};
use kassad::drivers::invoice::aipay::AiPayWebhooks;
use kassad::drivers::{self, Build, Headers, WebhookScheme};
use kassad::host::secret::Secret;
use kassad::http::{BODY_BYTES_MAX, flood};
use kassad::sandbox::aipay::sign;
use kassad::sandbox::restaurant::SANDBOX_SECRET;
use proptest::prelude::*;

/// Heads that do not prove the body.
fn wrong_heads(body: &[u8]) -> Vec<String> {
    let good = sign(SANDBOX_SECRET, body);
    let of = |secret: &str| sign(secret, body);
    let a = |value: &str| format!("x-aipay-signature: {value}\r\n");
    let spaced: String = good.chars().flat_map(|sign| [sign, ' ']).collect();
    vec![
        String::new(),
        a(""),
        a(" "),
        a(&good[..63]),
        a(&good[1..]),
        a(&format!("{good}0")),
        a(&format!("{good}{good}")),
        a(&format!("{good},{good}")),
        a(&format!("{good}, {}", of("other"))),
        a(&format!("sha256={good}")),
        a(&format!("0x{good}")),
        a(&format!("\"{good}\"")),
        a(&spaced),
        a(&good.replace(|sign: char| sign.is_ascii_digit(), "g")),
        a(&"0".repeat(64)),
        a(&"f".repeat(64)),
        a(&"é".repeat(32)),
        a(&of("")),
        a(&of(" ")),
        a(&of("other shop's secret")),
        a(&of(&SANDBOX_SECRET.to_uppercase())),
        a(&of(&format!("{SANDBOX_SECRET}\n"))),
        a(&sign(SANDBOX_SECRET, &[body, b" "].concat())),
        a(&sign(SANDBOX_SECRET, b"x")),
        a(&good.repeat(100)),
        // doubled: whichever was ours, somebody added the other
        format!("{0}{0}", a(&good)),
        format!("{}{}", a(&good), a(&of("other"))),
        format!("{}{}", a(&of("other")), a(&good)),
        format!("{}X-AiPay-Signature: {good}\r\n", a(&good)),
        format!("{}x-signature: {good}\r\nx-signature: {good}\r\n", a(&good)),
        // other names
        format!("x-aipay_signature: {good}\r\n"),
        format!("x-aipay-signature-256: {good}\r\n"),
        format!("x-hub-signature-256: sha256={good}\r\n"),
        format!("authorization: {good}\r\n"),
        format!("cookie: x-aipay-signature={good}\r\n"),
        format!("x-signature: {}\r\n", of("other")),
        format!("x-signature: {0}\r\nx-aipay-signature: {0}\r\n", of("other")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_forgery_hears_the_same_and_leaves_no_trace() {
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let mut answers = std::collections::BTreeSet::new();
    let mut count = 0;
    for body in [notice("inv-forged"), "{}".to_owned(), String::new(), "[".repeat(60_000)] {
        for head in wrong_heads(body.as_bytes()) {
            let heard = say(&shop, &post(&head, body.as_bytes())).await;
            assert_eq!(status(&heard), 403, "{head}");
            answers.insert(heard.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n"));
            count += 1;
            // They are not a flood here: that is told in another story.
            if count % 50 == 0 {
                shop.clock.advance(flood::WINDOW);
            }
        }
    }
    assert_eq!(answers.len(), 1, "which part was wrong is nobody's business: {answers:#?}");
    let answer = answers.first().unwrap().to_ascii_lowercase();
    for told in ["server:", "x-powered-by", "kassad", "hyper", "axum", "rust"] {
        assert!(!answer.contains(told), "{answer}");
    }
    assert!(answer.contains("content-length: 0"), "{answer}");
    assert_eq!((kept(&shop).await, metric(&shop, "kassad_forged_total").await), (0, count));
    assert_eq!(shop.questions().await, Vec::<String>::new());
    calm.holds();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_no_head_is_refused_without_a_word() {
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let body = notice("inv-head");
    let good = right(body.as_bytes());
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    for head in [
        format!("{good}x: a\u{0}b\r\n"),
        format!("{good}x: a\u{7f}b\r\n"),
        format!("{good}x y: z\r\n"),
        format!("{good}x: {}\r\n", "y".repeat(64 * 1024)),
        format!("{good}{}: y\r\n", "x".repeat(64 * 1024)),
        format!("{good}{many}"),
        format!("{good}no colon\r\n"),
        format!("{good}\u{1}: y\r\n"),
        format!("{good}é: y\r\n"),
    ] {
        let heard = say(&shop, &post(&head, body.as_bytes())).await;
        assert!(
            [400, 431].contains(&status(&heard)),
            "{}: {heard}",
            &head[good.len()..][..20.min(head.len() - good.len())]
        );
        assert!(heard.ends_with("\r\n\r\n"), "no body: {heard}");
    }
    let long = format!("POST /webhooks/{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000));
    assert!([400, 414, 431].contains(&status(&say(&shop, long.as_bytes()).await)));
    assert_eq!(kept(&shop).await, 0);
    // Text that is not UTF-8 is a fault of nobody's: such a header is passed by.
    let mut odd = format!("POST /webhooks/aipay HTTP/1.1\r\ncontent-length: {}\r\n{good}x: ", body.len()).into_bytes();
    odd.extend_from_slice(b"\xFF\xFE\r\n\r\n");
    odd.extend_from_slice(body.as_bytes());
    assert_eq!(status(&say(&shop, &odd).await), 200);
    calm.holds();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_proxy_does_to_the_envelope_a_genuine_notice_gets_in() {
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let forwarded: String = (0..60).map(|number| format!("X-Proxy-{number}: {}\r\n", "v".repeat(100))).collect();
    let mut number = 0;
    let mut next = || {
        number += 1;
        let body = notice(&format!("inv-genuine-{number}"));
        (right(body.as_bytes()), body.into_bytes())
    };
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for extra in [
        "",
        "x-forwarded-for: 203.0.113.7, 10.0.0.1\r\nx-forwarded-proto: https\r\nforwarded: for=203.0.113.7\r\nvia: 1.1 edge\r\n",
        "connection: keep-alive\r\n",
        "connection: close\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-encoding: gzip\r\n",
        "accept-encoding: gzip, br\r\ncookie: a=b\r\ncookie: c=d\r\n",
        "expect: 100-continue\r\n",
        &forwarded,
    ] {
        let (head, body) = next();
        requests.push(post(&format!("{head}{extra}"), &body));
    }
    let (head, body) = next();
    requests.push(post(&head.to_uppercase().replace("X-AIPAY", "x-AIPAY"), &body));
    let (head, body) = next();
    requests.push(post(&head.replace(": ", ":\t   ").replace("\r\n", "   \r\n"), &body));
    let (_, body) = next();
    requests.push(post(&format!("X-Signature: {}\r\n", sign(SANDBOX_SECRET, &body)), &body));
    let (head, body) = next();
    requests.push(chunked(&head, &[&body]));
    let (head, body) = next();
    requests.push(chunked(&head, &body.chunks(1).collect::<Vec<_>>()));
    let (head, body) = next();
    let text = String::from_utf8(chunked(&head, &[&body])).unwrap();
    requests.push(text.replace("\r\n0\r\n\r\n", "\r\n0;last\r\nx-checksum: 1\r\n\r\n").into_bytes());
    for line in [
        "POST /webhooks/aipay?utm=x&a[]=%00 HTTP/1.1",
        "POST http://shop.example/webhooks/aipay HTTP/1.1",
        "POST /webhooks/aipay HTTP/1.0",
    ] {
        let (head, body) = next();
        let text = String::from_utf8(post(&head, &body)).unwrap();
        requests.push(text.replace("POST /webhooks/aipay HTTP/1.1", line).into_bytes());
    }
    for (number, request) in requests.iter().enumerate() {
        let heard = say(&shop, request).await;
        assert_eq!(status(&heard), 200, "{}\n{heard}", String::from_utf8_lossy(request));
        assert_eq!(kept(&shop).await, i64::try_from(number).unwrap() + 1, "{}", String::from_utf8_lossy(request));
    }
    assert_eq!(metric(&shop, "kassad_forged_total").await, 0);
    calm.holds();
    shop.close().await;
}

/// Bodies that no partner should send and that are signed all the same: kept, shown as a question, never lost, never a panic.
fn odd_bodies() -> Vec<Vec<u8>> {
    let text = notice("inv-odd");
    let mut bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\0".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"\"".to_vec(),
        b"1e999".to_vec(),
        [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat(),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x03\xAB\xAE\x05\x00".to_vec(),
        b"\xFF\xFE\xFD".to_vec(),
        "[".repeat(BODY_BYTES_MAX).into_bytes(),
        r#"{"a":"#.repeat(BODY_BYTES_MAX / 5).into_bytes(),
        r#"{"invoice_id":"a","event":"#.as_bytes().to_vec(),
        r#"{"invoice_id":{"$gt":""},"event":"paid"}"#.as_bytes().to_vec(),
        r#"{"invoice_id":"a'; DROP TABLE inbox;--","event":"paid"}"#.as_bytes().to_vec(),
        r#"{"invoice_id":"../../../etc/passwd","event":"paid"}"#.as_bytes().to_vec(),
        r#"{"invoice_id":"\ud800","event":"paid"}"#.as_bytes().to_vec(),
        r#"{"invoice_id":"\u0000","event":"paid"}"#.as_bytes().to_vec(),
        format!(r#"{{"invoice_id":"{}","event":"paid"}}"#, "a".repeat(60_000)).into_bytes(),
        b"event=invoice.paid&invoice_id=1".to_vec(),
    ];
    bodies.extend((1..text.len()).step_by(7).map(|cut| text.as_bytes()[..cut].to_vec()));
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_body_of_any_kind_is_kept_up_to_its_last_allowed_byte() {
    let calm = Calm::watch();
    let shop = Counter::open().await;
    let bodies = odd_bodies();
    assert!(bodies.len() > 30, "{}", bodies.len());
    for (number, body) in bodies.iter().enumerate() {
        for _twice in 0..2 {
            let heard = say(&shop, &signed(body)).await;
            assert_eq!(status(&heard), 200, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(kept(&shop).await, i64::try_from(number).unwrap() + 1, "{}", String::from_utf8_lossy(body));
    }
    assert!(shop.questions().await.iter().all(|code| code == "unreadable"));
    // Readable ones with numbers and doubled members that no shop has.
    let before = kept(&shop).await;
    let odd = [
        r#"{"invoice_id":"n1","event":"paid","amount":1e400}"#,
        r#"{"invoice_id":"n2","event":"paid","amount":-9223372036854775809}"#,
        r#"{"invoice_id":"n3","event":"paid","amount":123456789012345678901234567890}"#,
        r#"{"invoice_id":"n4","event":"paid","amount":0.1,"amount":"1 000,00"}"#,
        r#"{"invoice_id":"x","invoice_id":"n5","event":"paid"}"#,
        r#"{"invoice_id":"n6","event":"paid","external_id":["a"]}"#,
    ];
    for body in odd {
        assert_eq!(status(&say(&shop, &signed(body.as_bytes())).await), 200, "{body}");
    }
    assert_eq!(kept(&shop).await, before + i64::try_from(odd.len()).unwrap());
    // 64 KiB and not one byte more, announced or not.
    let (full, over) = (vec![b' '; BODY_BYTES_MAX], vec![b' '; BODY_BYTES_MAX + 1]);
    assert_eq!(status(&say(&shop, &signed(&full)).await), 200);
    assert_eq!(status(&say(&shop, &signed(&over)).await), 413);
    assert_eq!(status(&say(&shop, &chunked(&right(&full), &full.chunks(5000).collect::<Vec<_>>())).await), 200);
    assert_eq!(status(&say(&shop, &chunked(&right(&over), &over.chunks(5000).collect::<Vec<_>>())).await), 413);
    calm.holds();
    shop.close().await;
}

/// Text that looks like what partners write, more or less.
fn jsonish() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("\"paid\"".to_owned()),
        Just("\"invoice.paid\"".to_owned()),
        "-?[0-9]{1,30}(\\.[0-9]{0,5})?(e[0-9]{1,3})?",
        "\"[ -~]{0,20}\"",
        "\\PC{0,10}",
    ];
    let member = ("(event|status|invoice_id|external_id|amount|paid_at|[a-z]{0,5})", leaf);
    let object = proptest::collection::vec(member, 0..8).prop_map(|members| {
        let members: Vec<String> = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    });
    prop_oneof![3 => object, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
}

#[test]
fn every_cloud_with_webhooks_is_under_fire_here() {
    let clouds = drivers::KINDS.iter().filter(|kind| matches!(kind.build, Build::Cloud(..))).map(|kind| kind.name);
    assert_eq!(
        clouds.collect::<Vec<_>>(),
        ["aipay"],
        "a new scheme is tried like the others: add it to the properties below"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scheme_reads_whatever_was_signed(body in jsonish(), dialect in proptest::sample::select(vec!["x-aipay-signature", "x-signature"])) {
        let secrets = [Secret::new("old"), Secret::new("new")];
        let headers = Headers(vec![(dialect.to_owned(), sign("new", &body))]);
        let verified = AiPayWebhooks.verify(&secrets, &headers, &body).unwrap();
        prop_assert_eq!(verified.body(), &body[..]);
        if let Ok(notice) = AiPayWebhooks.read(&verified) {
            prop_assert!(notice.handle.as_str().len() <= 64 && !notice.handle.as_str().is_empty());
            prop_assert!(notice.status.chars().count() <= 64);
            prop_assert!(notice.amount.is_none_or(|amount| amount.0 >= 0));
        }
    }

    #[test]
    fn nothing_but_the_secret_signs(
        body in jsonish(),
        headers in proptest::collection::vec(("(x-aipay-signature|x-signature|[a-z-]{1,10})", "[0-9a-fA-F]{64}|\\PC{0,80}"), 0..6),
    ) {
        let secrets = [Secret::new("secret that nobody has"), Secret::new("")];
        prop_assert!(AiPayWebhooks.verify(&secrets, &Headers(headers), &body).is_err());
    }
}
