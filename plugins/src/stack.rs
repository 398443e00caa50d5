//! A stack of its own for an interpreter. Values of scripts hold each other, thousands deep, and
//! are looked through, copied and dropped by functions that call themselves: a thread's stack is
//! too small for what a script can build within its operations, and an overflow would end the
//! process. So whatever touches such values runs here. Only the pages that are used cost memory.

use corosensei::on_stack;
use corosensei::stack::DefaultStack;

/// Octets of a stack. A closure that holds a closure costs some 200 octets of it, and no script can
/// build more of them than `limits::OPERATIONS_CAPTURING_MAX` allows.
const STACK_OCTETS: usize = 64 * 1024 * 1024;

/// A stack, made when it is first needed.
#[derive(Default)]
pub struct Stack(Option<DefaultStack>);

/// There is no room for a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory for a stack")]
pub struct NoStack;

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stack").field(&self.0.is_some()).finish()
    }
}

impl Stack {
    /// Does something on this stack.
    pub fn run<R>(&mut self, what: impl FnOnce() -> R) -> Result<R, NoStack> {
        let stack = match &mut self.0 {
            Some(stack) => stack,
            place => place.insert(DefaultStack::new(STACK_OCTETS).map_err(|_| NoStack)?),
        };
        Ok(on_stack(stack, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(level: u64) -> u64 {
        let room = std::hint::black_box([level; 32]);
        if level == 0 { 0 } else { 1 + deep(level - 1).min(room[0]) }
    }

    #[test]
    fn there_is_room_for_what_a_thread_has_none_for() {
        let mut stack = Stack::default();
        let small = std::thread::Builder::new().stack_size(64 * 1024);
        let done = small.spawn(move || {
            assert_eq!(stack.run(|| deep(50_000)), Ok(50_000));
            // A panic comes through, and the stack serves again.
            let panicked = std::panic::AssertUnwindSafe(|| stack.run(|| panic!("on purpose")));
            assert!(std::panic::catch_unwind(panicked).is_err());
            assert_eq!(stack.run(|| deep(10)), Ok(10));
        });
        done.unwrap().join().unwrap();
    }
}
