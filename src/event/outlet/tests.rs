use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::Duration,
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Says what it was told of, and goes on only when it is let; a closed gate is an open one.
struct Gated {
    told: Sender<i64>,
    gate: Mutex<Receiver<()>>,
}

impl Observer for Gated {
    fn observe(&self, event: &Event) {
        let _ = self.told.send(event.at().as_millis());
        let _ = self.gate.lock().unwrap().recv();
    }
}

fn gated() -> (Arc<Outlet>, Receiver<i64>, Sender<()>) {
    let ((told, events), (open, gate)) = (mpsc::channel(), mpsc::channel());
    (Arc::new(Outlet::new(Gated { told, gate: Mutex::new(gate) })), events, open)
}

fn push(outlet: &Outlet, number: i64) {
    assert!(outlet.push(Event::new(EventKind::AuthSuccess, Timestamp::from_millis(number))));
}

/// Flushes on a thread of its own; says when that is over.
fn flushing(outlet: &Arc<Outlet>) -> Receiver<()> {
    let (outlet, (done, over)) = (Arc::clone(outlet), mpsc::channel());
    thread::spawn(move || {
        outlet.flush();
        let _ = done.send(());
    });
    over
}

fn wait_until(outlet: &Outlet, holds: impl Fn(&State) -> bool) {
    for _ in 0..PATIENCE.as_millis() {
        if holds(&outlet.0.lock()) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("the outlet did not come to that");
}

/// The thread is being started while an event comes, and then there is none.
#[test]
fn a_flush_starts_the_thread_that_could_not_be_started_before() {
    let (outlet, told, gate) = gated();
    drop(gate);
    outlet.0.lock().running = true;
    push(&outlet, 0);
    drop(Ending(&outlet.0));
    assert_eq!(flushing(&outlet).recv_timeout(PATIENCE), Ok(()));
    assert_eq!(told.try_recv(), Ok(0));
}

#[test]
fn whoever_flushes_is_let_go_when_there_is_no_thread_any_more() {
    let (outlet, told, _gate) = gated();
    outlet.0.lock().running = true;
    push(&outlet, 0);
    let over = flushing(&outlet);
    wait_until(&outlet, |state| state.flushing == 1);
    drop(Ending(&outlet.0));
    assert_eq!(over.recv_timeout(PATIENCE), Ok(()));
    assert!(told.try_recv().is_err());
}

#[test]
fn a_flush_waits_for_no_event_that_came_after_it() {
    let (outlet, told, gate) = gated();
    push(&outlet, 0);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(0));
    let over = flushing(&outlet);
    wait_until(&outlet, |state| state.flushing == 1);
    push(&outlet, 1);
    gate.send(()).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    // The second one is still in the observer's hands.
    assert_eq!(over.recv_timeout(PATIENCE), Ok(()));
    drop(gate);
}

#[test]
fn r033_a_thread_that_waits_for_events_ends_with_its_outlet() {
    let (outlet, told, gate) = gated();
    drop(gate);
    push(&outlet, 0);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(0));
    wait_until(&outlet, |state| state.idle);
    drop(outlet);
    // The thread held the observer.
    assert_eq!(told.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}
