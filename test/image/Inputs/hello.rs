// SPDX-License-Identifier: BSD-3-Clause
// Rust hello: threads, channels, a caught panic, thread locals, collections, exit status.
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{mpsc, Arc, Mutex};
use std::{env, panic, process, thread};

thread_local!(static DEPTH: Cell<u32> = Cell::new(1));

fn main() {
    println!("hello from Rust {}", env::args().count());
    let caught = panic::catch_unwind(|| {
        panic::set_hook(Box::new(|_| eprintln!("panicking")));
        let numbers: Vec<i32> = Vec::new();
        numbers[1]
    });
    println!("caught {}", caught.is_err());
    let (sender, receiver) = mpsc::channel();
    let total = Arc::new(Mutex::new(0));
    let workers: Vec<_> = (0..6u32)
        .map(|n| {
            let sender = sender.clone();
            let total = total.clone();
            thread::spawn(move || {
                DEPTH.with(|depth| depth.set(depth.get() + n));
                *total.lock().unwrap() += DEPTH.with(|depth| depth.get());
                sender.send(n * n).unwrap();
            })
        })
        .collect();
    drop(sender);
    let mut squares: Vec<u32> = receiver.iter().collect();
    squares.sort();
    for worker in workers {
        worker.join().unwrap();
    }
    let map: HashMap<u32, usize> = squares.iter().enumerate().map(|(i, s)| (*s, i)).collect();
    println!("{:?} {} {}", squares, total.lock().unwrap(), map[&25]);
    process::exit(77);
}
