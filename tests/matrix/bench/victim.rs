//! Vendors that kill the service, stop it, or misbehave.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use latchkey_simulators::fault::{Act, Call, Fault, Faults, Fired};

use crate::{
    point::{Point, Side, of_call},
    service::Process,
    wrong::CallFault,
};

/// Who is killed by a vendor's hook, and whether that was done.
#[derive(Debug, Default)]
pub(super) struct Victim {
    pub(super) process: Mutex<Option<Process>>,
    pub(super) killed_at: Mutex<Option<Point>>,
    pub(super) told_at: Mutex<Option<Instant>>,
}

impl Victim {
    pub(super) fn stop(&self) {
        *self.told_at.lock().unwrap() = Some(Instant::now());
        self.process.lock().unwrap().as_ref().expect("the service was started").terminate();
    }
}

/// Lets a vendor kill the service right before or right after a call's effect.
pub(super) fn arm(faults: &Faults, vendor: &'static str, point: &Point, victim: &Arc<Victim>) {
    let name = point.name.clone();
    let matches = move |call: &Call| of_call(vendor, call.op, call.body_json.as_ref()) == name;
    let (at, victim) = (point.clone(), Arc::clone(victim));
    let kill = move |_: &Call| {
        *victim.killed_at.lock().unwrap() = Some(at.clone());
        victim.process.lock().unwrap().as_ref().expect("the service was started").kill();
    };
    let fault = |act| Fault::when(matches.clone(), act).skip(point.nth - 1).once();
    match point.side {
        Side::Before => {
            faults.add(fault(Act::before(kill)));
            faults.add(fault(Act::ResetBefore));
        }
        Side::After => {
            faults.add(fault(Act::after(kill)));
        }
    }
}

/// Lets the directory tell the service to stop while a call of this kind is under way.
pub(super) fn stop_at(faults: &Faults, op: &'static str, victim: &Arc<Victim>) {
    let victim = Arc::clone(victim);
    faults.add(Fault::on(op, Act::before(move |_| victim.stop())).once());
}

/// Lets a vendor misbehave at the first calls of this name.
pub(super) fn spoil(faults: &Faults, vendor: &'static str, name: &str, fault: CallFault) -> Fired {
    let name = name.to_owned();
    let matches = move |call: &Call| of_call(vendor, call.op, call.body_json.as_ref()) == name;
    faults.add(Fault::when(matches, fault.act(vendor)).times(fault.times()))
}
