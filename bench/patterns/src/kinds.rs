//! What is asked for, and the topics that are: each of a kind matches one.

use fanfare_hub::Matcher;

/// One kind of matcher.
pub struct Kind {
    pub name: &'static str,
    pub is_exact: bool,
    /// How many of them a hub takes, if that is few.
    pub most: usize,
    pub matcher: fn(usize) -> Matcher,
    /// The topic that this matcher alone matches.
    pub topic: fn(usize) -> String,
}

const HUB: &str = "https://example.com/.well-known/mercure";

fn url(pattern: &str) -> Matcher {
    Matcher::url_pattern(pattern, HUB).expect("a pattern")
}

pub const KINDS: [Kind; 10] = [
    Kind {
        name: "`https://example.com/users/N/:page`",
        is_exact: false,
        most: usize::MAX,
        matcher: |n| url(&format!("https://example.com/users/{n}/:page")),
        topic: |n| format!("https://example.com/users/{n}/news"),
    },
    Kind {
        name: "`/users/N/:page/:part?`",
        is_exact: false,
        most: usize::MAX,
        matcher: |n| url(&format!("/users/{n}/:page/:part?")),
        topic: |n| format!("https://example.com/users/{n}/news"),
    },
    Kind {
        name: "`https://example.com/:lang/books/N`",
        is_exact: false,
        most: usize::MAX,
        matcher: |n| url(&format!("https://example.com/:lang/books/{n}")),
        topic: |n| format!("https://example.com/en/books/{n}"),
    },
    Kind {
        name: "`https://*.example.com/books/N/:page`",
        is_exact: false,
        most: usize::MAX,
        matcher: |n| url(&format!("https://*.example.com/books/{n}/:page")),
        topic: |n| format!("https://eu.example.com/books/{n}/news"),
    },
    Kind {
        name: "`https://*.tenant-N.example.com/books/:id`",
        is_exact: false,
        most: usize::MAX,
        matcher: |n| url(&format!("https://*.tenant-{n}.example.com/books/:id")),
        topic: |n| format!("https://eu.tenant-{n}.example.com/books/1"),
    },
    Kind {
        name: "`/users/N/:page(\\d+)`",
        is_exact: false,
        most: usize::MAX,
        matcher: |n| url(&format!("/users/{n}/:page(\\d+)")),
        topic: |n| format!("https://example.com/users/{n}/42"),
    },
    Kind {
        name: "URI Template `https://example.com/users/N/{page}`",
        is_exact: false,
        most: usize::MAX,
        matcher: |n| {
            let template = format!("https://example.com/users/{n}/{{page}}");
            Matcher::topic_selector(template).expect("a template")
        },
        topic: |n| format!("https://example.com/users/{n}/news"),
    },
    Kind {
        name: "`/*/N/*`",
        is_exact: false,
        most: usize::MAX,
        matcher: |n| url(&format!("/*/{n}/*")),
        topic: |n| format!("https://example.com/users/{n}/news"),
    },
    Kind {
        name: "`/*/N-*`, which nothing finds",
        is_exact: false,
        most: 1_000,
        matcher: |n| url(&format!("/*/{n}-*")),
        topic: |n| format!("https://example.com/users/{n}-news"),
    },
    Kind {
        name: "exact topics",
        is_exact: true,
        most: usize::MAX,
        matcher: |n| Matcher::exact(format!("https://example.com/users/{n}/news")).expect("a matcher"),
        topic: |n| format!("https://example.com/users/{n}/news"),
    },
];
