//! A syntax check of JSON texts (RFC 8259), without building anything.

/// Panics unless `text` is one JSON value.
pub fn check(text: &[u8]) {
    let mut at = 0;
    value(text, &mut at, 0).unwrap_or_else(|what| {
        panic!("{what} at byte {at} of {}", String::from_utf8_lossy(text));
    });
    assert_eq!(
        at,
        text.len(),
        "bytes follow: {}",
        String::from_utf8_lossy(text)
    );
}

/// The whole number after `"name":`, first found.
pub fn number(text: &[u8], name: &str) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let rest = text.split_once(&format!("\"{name}\":"))?.1;
    let end = rest
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn value(text: &[u8], at: &mut usize, depth: usize) -> Result<(), &'static str> {
    if depth > 32 {
        return Err("too deep");
    }
    match text.get(*at) {
        Some(b'{') => list(text, at, b'}', |text, at| {
            string(text, at)?;
            expect(text, at, b':')?;
            value(text, at, depth + 1)
        }),
        Some(b'[') => list(text, at, b']', |text, at| value(text, at, depth + 1)),
        Some(b'"') => string(text, at),
        Some(b'-' | b'0'..=b'9') => number_at(text, at),
        _ => ["true", "false", "null"]
            .iter()
            .find(|word| text[*at..].starts_with(word.as_bytes()))
            .map(|word| *at += word.len())
            .ok_or("no value"),
    }
}

fn list(
    text: &[u8],
    at: &mut usize,
    end: u8,
    mut entry: impl FnMut(&[u8], &mut usize) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    *at += 1;
    if text.get(*at) == Some(&end) {
        *at += 1;
        return Ok(());
    }
    loop {
        entry(text, at)?;
        match text.get(*at) {
            Some(b',') => *at += 1,
            Some(byte) if *byte == end => {
                *at += 1;
                return Ok(());
            }
            _ => return Err("neither comma nor end"),
        }
    }
}

fn expect(text: &[u8], at: &mut usize, byte: u8) -> Result<(), &'static str> {
    if text.get(*at) != Some(&byte) {
        return Err("an expected byte is missing");
    }
    *at += 1;
    Ok(())
}

fn string(text: &[u8], at: &mut usize) -> Result<(), &'static str> {
    expect(text, at, b'"')?;
    loop {
        match text.get(*at) {
            Some(b'"') => {
                *at += 1;
                return Ok(());
            }
            Some(b'\\') => *at += 2,
            Some(0..0x20) | None => return Err("a string does not end"),
            Some(_) => *at += 1,
        }
    }
}

fn number_at(text: &[u8], at: &mut usize) -> Result<(), &'static str> {
    let digits = |at: &mut usize| {
        let start = *at;
        while text.get(*at).is_some_and(u8::is_ascii_digit) {
            *at += 1;
        }
        if *at == start {
            Err("no digits")
        } else {
            Ok(())
        }
    };
    *at += usize::from(text[*at] == b'-');
    if text.get(*at) == Some(&b'0') {
        *at += 1;
    } else {
        digits(at)?;
    }
    if text.get(*at) == Some(&b'.') {
        *at += 1;
        digits(at)?;
    }
    if matches!(text.get(*at), Some(b'e' | b'E')) {
        *at += 1;
        *at += usize::from(matches!(text.get(*at), Some(b'+' | b'-')));
        digits(at)?;
    }
    Ok(())
}
