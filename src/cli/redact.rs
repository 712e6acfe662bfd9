//! Arguments as they may be written down: without what looks like a secret.

use std::ffi::OsString;

use crate::base::text::shown;

/// What stands in the place of a secret.
const INSTEAD: &str = "(left out)";
/// A flag or variable with one of these in its name has a secret for its value.
const SECRET: [&str; 8] =
    ["secret", "token", "password", "passwd", "credential", "api-key", "access-key", "webhook"];

/// The arguments, escaped; the values of secret-looking flags, all values of `KEY=VALUE` pairs,
/// and the password in an address are left out.
pub(super) fn arguments(args: &[OsString]) -> Vec<String> {
    let mut shown_args = Vec::with_capacity(args.len());
    let mut secret_follows = false;
    for arg in args {
        let text = shown(arg.as_encoded_bytes()).into_owned();
        if std::mem::replace(&mut secret_follows, false) {
            shown_args.push(INSTEAD.to_owned());
        } else if let Some((name, _)) = text.split_once('=').filter(|(name, _)| hides(name)) {
            shown_args.push(format!("{name}={INSTEAD}"));
        } else {
            secret_follows = text.starts_with("--") && is_secret(&text);
            shown_args.push(without_password(&text));
        }
    }
    shown_args
}

/// Whether what is behind the `=` stays secret: always behind a variable, for its name may say
/// nothing.
fn hides(name: &str) -> bool {
    !name.starts_with('-') || is_secret(name)
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET.iter().any(|part| name.contains(part))
}

/// `scheme://user:password@host` without what is before the `@`.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://{INSTEAD}{}", &rest[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_the_rest_stays() {
        let args = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let cases = [
            ("reprovm -j 8 m.txt --output=json", "reprovm -j 8 m.txt --output=json"),
            ("--api-token hush m.txt", "--api-token (left out) m.txt"),
            ("--access_key=hush x", "--access_key=(left out) x"),
            ("KEY=hush A=", "KEY=(left out) A=(left out)"),
            ("--remote https://me:hush@host/p", "--remote https://(left out)@host/p"),
            ("https://host/a@b", "https://host/a@b"),
            ("--remote=https://me:hush@host/p", "--remote=https://(left out)@host/p"),
            ("a\nb", "a\\nb"),
        ];
        for (given, expected) in cases {
            assert_eq!(arguments(&args(given)).join(" "), expected);
        }
    }
}
