//! Reads printed codes back, by a decoder that shares nothing with the encoder, and compares one
//! with the example of another encoder.

use super::*;

/// The modules of a printed code without its quiet zone, by rows.
fn printed(text: &str) -> Vec<Vec<bool>> {
    let lines = QrCode::encode(text).unwrap().lines(false);
    let mut rows = Vec::new();
    for line in lines {
        // Light modules are filled.
        let pairs = line.chars().map(|block| match block {
            '█' => [false, false],
            '▀' => [false, true],
            '▄' => [true, false],
            ' ' => [true, true],
            other => panic!("{other}"),
        });
        let (upper, lower) = pairs.map(|[upper, lower]| (upper, lower)).unzip();
        rows.extend::<[Vec<bool>; 2]>([upper, lower]);
    }
    // The quiet zone is light on all sides; half of a line may be below it.
    let size = rows[0].len() - 8;
    let mut inner = Vec::new();
    for (y, row) in rows.iter().enumerate() {
        let (left, rest) = row.split_at(4);
        let (middle, right) = rest.split_at(size);
        assert!(!left.contains(&true) && !right.contains(&true));
        if (4..4 + size).contains(&y) {
            inner.push(middle.to_vec());
        } else if y < 8 + size {
            assert!(!row.contains(&true), "{y}");
        }
    }
    inner
}

/// Reads a code as a phone does: format, mask, codewords, check of errors, bytes.
fn read(code: &[Vec<bool>]) -> String {
    let size = code.len();
    let version = (size - 17) / 4;
    let finder = |x: usize, y: usize| {
        let rows = [
            "1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111",
        ];
        rows.iter().enumerate().all(|(dy, row)| {
            let found = &code[y + dy][x..x + 7];
            row.bytes()
                .zip(found)
                .all(|(bit, dark)| (bit == b'1') == *dark)
        })
    };
    assert!(finder(0, 0) && finder(size - 7, 0) && finder(0, size - 7));
    // The format, from the modules around the upper left finder, the highest bit first.
    let along = [0, 1, 2, 3, 4, 5, 7, 8].map(|x| code[8][x]);
    let up = [7, 5, 4, 3, 2, 1, 0].map(|y| code[y][8]);
    let bits = along
        .iter()
        .chain(&up)
        .fold(0_u16, |bits, dark| bits << 1 | u16::from(*dark));
    // Its second copy, left to right and then upwards.
    let upwards = (size - 7..size).rev().map(|y| code[y][8]);
    let right = (size - 8..size).map(|x| code[8][x]);
    let copy = upwards
        .chain(right)
        .fold(0_u16, |bits, dark| bits << 1 | u16::from(dark));
    assert_eq!(bits, copy, "both copies of the format agree");
    let format = bits ^ 0b101_0100_0001_0010;
    assert_eq!(format >> 13, 0b01, "level L");
    let mask = format >> 10 & 7;
    // Of 32 possible formats only this one is near: the rest of its bits are right.
    let valid = [
        0x77c4, 0x72f3, 0x7daa, 0x789d, 0x662f, 0x6318, 0x6c41, 0x6976,
    ];
    assert_eq!(bits, valid[usize::from(mask)], "table C.1 of the standard");
    assert!(code[size - 8][8], "the dark module");
    let bytes = codewords(code, version, mask);
    let correction = [7, 10, 15, 20, 26][version - 1];
    assert_eq!(bytes.len(), [26, 44, 70, 100, 134][version - 1]);
    assert!(has_no_errors(&bytes, correction));
    let halves: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .collect();
    assert_eq!(halves[0], 4, "bytes");
    let length = usize::from(halves[1] << 4 | halves[2]);
    let text = halves[3..3 + 2 * length].chunks(2);
    String::from_utf8(text.map(|pair| pair[0] << 4 | pair[1]).collect()).unwrap()
}

fn codewords(code: &[Vec<bool>], version: usize, mask: u16) -> Vec<u8> {
    let size = code.len();
    let holds_none = |x: usize, y: usize| {
        let far = size - 8;
        let near_corner = [x < 9 && y < 9, x >= far && y < 9, x < 9 && y >= far];
        let aligned =
            version > 1 && (size - 9..=size - 5).contains(&x) && (size - 9..=size - 5).contains(&y);
        near_corner.contains(&true) || aligned || x == 6 || y == 6
    };
    let remainder = |i: usize, j: usize| match mask {
        0 => (i + j) % 2,
        1 => i % 2,
        2 => j % 3,
        3 => (i + j) % 3,
        4 => (i / 2 + j / 3) % 2,
        5 => i * j % 2 + i * j % 3,
        6 => (i * j % 2 + i * j % 3) % 2,
        7 => (i * j % 3 + (i + j) % 2) % 2,
        _ => panic!("{mask}"),
    };
    let (mut bits, mut x, mut upwards) = (Vec::new(), size - 1, true);
    loop {
        for step in 0..size {
            let y = if upwards { size - 1 - step } else { step };
            for x in [x, x - 1] {
                if !holds_none(x, y) {
                    bits.push(code[y][x] != (remainder(y, x) == 0));
                }
            }
        }
        upwards = !upwards;
        x = match x {
            8 => 5,
            1 => break,
            _ => x - 2,
        };
    }
    let bytes = bits.chunks_exact(8);
    bytes
        .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
        .collect()
}

/// Whether every syndrome is zero.
fn has_no_errors(codewords: &[u8], correction: usize) -> bool {
    let mut powers = vec![1_u16];
    while powers.len() < 255 {
        let next = powers[powers.len() - 1] << 1;
        powers.push(if next > 255 { next ^ 0x11d } else { next });
    }
    let log = |value: u8| {
        powers
            .iter()
            .position(|it| *it == u16::from(value))
            .unwrap()
    };
    (0..correction).all(|root| {
        let at_root = codewords.iter().fold(0_u8, |sum, codeword| {
            let scaled = match sum {
                0 => 0,
                _ => powers[(log(sum) + root) % 255] as u8,
            };
            scaled ^ codeword
        });
        at_root == 0
    })
}

#[test]
fn a_printed_code_reads_as_its_text() {
    for text in [
        "",
        "https://192.168.1.5:8080/",
        "http://10.0.0.1:80/",
        "https://[2001:db8:1234:5678:9abc:def0:1234:5678]:65535/",
        &"a".repeat(78),
        &"z".repeat(106),
    ] {
        assert_eq!(read(&printed(text)), text);
    }
    // Enough of them for every mask to be the best of one.
    for port in 1000..1150 {
        let text = format!("https://192.168.178.{}:{port}/", port % 251);
        assert_eq!(read(&printed(&text)), text);
    }
    assert!(QrCode::encode(&"a".repeat(107)).is_none());
}

#[test]
fn a_damaged_code_is_noticed() {
    let mut code = printed("https://192.168.1.5:8080/");
    let size = code.len();
    code[size - 1][size - 1] ^= true;
    let damaged = std::panic::catch_unwind(|| read(&code));
    assert!(damaged.is_err());
}

#[test]
fn colours_do_not_depend_on_the_terminal() {
    let code = QrCode::encode("http://10.0.0.1:80/").unwrap();
    for line in code.lines(true) {
        assert!(line.starts_with(BLACK_ON_WHITE) && line.ends_with(DEFAULT_COLOURS));
    }
    let first = &code.lines(true)[0];
    assert!(first.contains(&" ".repeat(33)), "the quiet zone is white");
}
