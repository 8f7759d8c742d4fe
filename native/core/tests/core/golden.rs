//! The files of test/golden, which the TypeScript side reads too, and bytes in hex as they stand there.

use serde_json::Value;
use std::fmt::Write;

pub fn golden(name: &str) -> Value {
    let path = format!("{}/../../test/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("golden files are JSON")
}

pub fn rows(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

pub fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hex").as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16).expect("hex") as u8;
    hex.chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a name is ASCII")
}

pub fn uint(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is a number"))
}

pub fn uint32(value: &Value) -> u32 {
    uint(value).try_into().expect("it fits 32 bits")
}
