//! The models, each in every order of its steps.

use hurricane_models::{pooling, sequences};

#[test]
fn a_reader_gets_one_writers_words() {
    sequences::a_reader_gets_one_writers_words();
}

#[test]
fn a_successor_goes_on_from_a_killed_writer() {
    sequences::a_successor_goes_on_from_a_killed_writer();
}

#[test]
#[should_panic(expected = "torn")]
fn a_sequence_without_fences_tears() {
    sequences::a_sequence_without_fences_tears();
}

#[test]
fn a_thread_that_goes_to_sleep_hears_of_a_job() {
    pooling::a_thread_that_goes_to_sleep_hears_of_a_job();
}

#[test]
fn every_job_is_run_once_without_a_monitor() {
    pooling::every_job_is_run_once_without_a_monitor();
}

#[test]
fn every_job_is_run_once_whenever_the_monitor_looks() {
    pooling::every_job_is_run_once_whenever_the_monitor_looks();
}
