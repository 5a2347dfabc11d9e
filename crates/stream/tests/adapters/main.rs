//! One set of tests over all adapters, on real sockets: same names, same defaults, same ends.
//!
//! What one framework alone does is tested in a file with that framework's name.
#![allow(clippy::unwrap_used)]

mod cases;
mod client;
mod hosts;

/// Each case is a test of each of these adapters.
macro_rules! over_adapters {
    ([$($adapter:ident: $host:ident),+], $cases:tt) => {
        $(over_adapters!($adapter: $host, $cases);)+
    };
    ($adapter:ident: $host:ident, { $($case:ident),+ $(,)? }) => {
        mod $adapter {
            $(
                #[test]
                fn $case() {
                    crate::cases::$case(&crate::hosts::$host::start());
                }
            )+
        }
    };
}

over_adapters!([actix_4: Actix4, axum_08: Axum08, blocking: Blocking, connection: Looping, hyper_1: Hyper1], {
    the_head_says_what_it_is_before_the_first_event,
    each_event_arrives_when_it_is_sent,
    the_last_event_id_is_that_of_the_header_or_else_of_the_query,
    a_last_event_id_that_cannot_be_used_is_not_none,
    a_quiet_stream_is_kept_alive_by_comment_lines,
    close_says_goodbye_and_ends_the_response_whole,
    a_sender_that_is_dropped_ends_the_response_whole_and_without_a_word,
    a_client_that_leaves_is_found_out_by_a_keep_alive,
    a_client_that_takes_nothing_is_given_up,
    a_head_request_gets_the_head_alone_and_its_stream_ends,
    a_stream_is_compressed_event_by_event_if_its_client_takes_that,
});

/// Those that serve an `Sse`; a loop of one's own ends its stream, and chooses its answer, itself.
mod of_an_sse {
    over_adapters!([actix_4: Actix4, axum_08: Axum08, blocking: Blocking, hyper_1: Hyper1], {
        a_shutdown_sends_its_clients_away_for_a_while,
        a_shutdown_cuts_a_client_that_takes_nothing,
        a_stream_ends_in_order_when_its_time_is_over,
        whoever_is_too_far_behind_is_sent_off_while_it_takes_nothing,
        one_handler_answers_with_a_stream_or_with_json_as_its_client_wishes,
        who_takes_neither_hears_what_there_is,
        a_handler_of_streams_alone_refuses_whoever_takes_none,
    });
}
