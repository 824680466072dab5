//! The rest of the table of system calls (`calls.rs`): views, taking back, gates, guests, handlers, clones, locks, and changing segments.

/// Hands the whole table to the macro that is named, behind the part of it that comes first.
#[macro_export]
macro_rules! with_further_calls {
    ($then:ident $($before:tt)*) => {
        $then! {
            $($before)*

            /// Makes a *view* of a space: a space with a tag of its own that shows what the base space holds, now and
            /// later, but allows at most `bounds`. Windows among the base's attachments keep theirs, and so do public
            /// subtrees. Views of a space with the same bounds have one root table; each is charged for it.
            ///
            /// Needs `CHARGE` on the account and `INSPECT` on the space. The capability carries the rights of the one to
            /// the space, without `MAP`. A view keeps its base; a view of a view is one of the same base. A view of a
            /// CPU-local space is local to the same CPU.
            ///
            /// Returns a handle. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument` (no `READ` in bounds),
            /// `AccountExhausted`, `OutOfMemory`, `TableFull`.
            51 view_create ViewCreate(account: Handle, space: Handle, bounds: Rights);

            /// Takes back all that was lent through a capability: every capability derived from it goes, in all tables, and
            /// what was done with these is undone. Mappings of a segment are unmapped, attachments of a subtree detached,
            /// views die; threads in a space land at their fallback with `SpaceRevoked`, or are stopped, with a line on the
            /// console; fallbacks are forgotten. The capability itself stays, and what was done with it.
            ///
            /// When it returns no CPU uses a translation, a capability or a presence that came from what is gone. It works
            /// in steps: between them others go on, and one who derives meanwhile loses that too. A caller that is itself
            /// in a space by what is revoked lands at its fallback when all else is done. A fallback into the
            /// very space that a thread is sent from does not save it, whatever capability it was set by: it is stopped.
            ///
            /// Returns 0. Errors: `BadHandle`, also if the capability goes meanwhile: what is left was its parent's then.
            52 capability_revoke CapabilityRevoke(handle: Handle);

            /// The same for what was derived from the capability with this badge, and what is below that, and for uses of
            /// capabilities with this badge that were handed on to it. What was derived with other badges stays, whatever
            /// is below it.
            ///
            /// Returns 0. Errors: `BadHandle`.
            53 capability_revoke_badge CapabilityRevokeBadge(handle: Handle, badge: u64);

            /// Lists what `capability_revoke` would take back, from the top down: what was derived before what came of it.
            /// The buffer holds `capacity` `LentInfo`; at most 64 are filled in. If `goes_on` is 1, the list goes on where the
            /// thread's last such call on this capability ended; if it is 0, it begins.
            ///
            /// Returns how many it filled in; 0 at the end. Errors: `BadHandle`, `BadPointer`, `BadArgument`.
            54 lent_list LentList(handle: Handle, buffer: u64, capacity: u64, goes_on: u64);

            /// Ends an account: all that is charged to it, and to accounts split off from it, goes, whoever holds or uses it.
            /// Capabilities to that go in all tables, and what was done with them is undone as by `capability_revoke`; the
            /// threads of a table that goes are stopped. Then all capabilities to the account go. Needs `CONTROL`.
            ///
            /// What it paid of others' segments at first touch stays with these; its budget returns when the last of that
            /// goes. It works in steps. Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadState` if it pays for
            /// the calling thread, its table or the space that it is in.
            55 account_end AccountEnd(account: Handle);

            /// Makes a *gate*: an entry into a space, by which threads of others come in, one on each of its stacks, with the
            /// gate's table in the place of their own. `layout` is the address of a `GateLayout`.
            ///
            /// Needs `CHARGE` on the account, `SWITCH` on the space, `CONTROL` on the table. The gate keeps neither space nor
            /// table: when one of them goes, or the capability by which it was named here is revoked, the gate is closed for
            /// good, and who is inside returns with `Gone`.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadPointer`, `BadArgument`
            /// (no stacks, or more than 63), `Misaligned`, `BadAddress`, `AccountExhausted`, `OutOfMemory`, `LimitReached`,
            /// `TableFull`.
            56 gate_create GateCreate(account: Handle, space: Handle, table: Handle, layout: u64);

            /// Tells of a gate, in a `GateInfo`. Needs no right.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `BadPointer`.
            57 gate_info GateInfo(gate: Handle, buffer: u64);

            /// Asks of whoever called what the thread is in. Returns 0 if they wait for it, 1 if they are gone: the thread was
            /// stopped, and ends when it returns, or nobody is there any more to return to.
            ///
            /// Errors: `BadState` for a thread that is in no call.
            58 gate_caller GateCaller();

            /// Closes a gate for good. If `how` is 0 those inside finish; if it is 1 they are taken out, and their callers see
            /// `Gone`. Those who wait for a stack see `Gone` as well. Needs `CONTROL`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`.
            59 gate_close GateClose(gate: Handle, how: u64);

            /// Returns how many bytes a guest's state takes, at the beginning of its page (`GuestState`). Errors: none.
            60 guest_state_bytes GuestStateBytes();

            /// Makes a *guest*: registers that a thread can run in a space, in the place of its own. They are found, and may be
            /// changed between runs, in the page of a segment that begins at `offset`, which has memory already: all zero at first,
            /// and floating point as a new thread finds it.
            ///
            /// Needs `CHARGE` on the account, `READ` and `WRITE` on the segment, which the guest keeps as a mapping does. When the
            /// capability by which that was named here is revoked, the guest is over: every run ends with `Gone`.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `Misaligned`, `BadArgument`
            /// beyond the segment's end, `BadState` for a page without memory, `AccountExhausted`, `OutOfMemory`, `LimitReached`,
            /// `TableFull`.
            61 guest_create GuestCreate(account: Handle, segment: Handle, offset: u64);

            /// Has a guest come out, wherever it runs; if it does not run, the next run ends at once. Needs `KICK`.
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `Gone`.
            62 guest_kick GuestKick(guest: Handle);

            /// Makes a gate the *handler* of a thread, a space or a subtree, in the place of the one before; the null handle for none.
            /// When a thread makes a mistake that the kernel does not see to, the handlers are asked that there are, in this order: that of
            /// the subtree in which the address lies (page faults only), that of the space that the thread is in, its own (unless it is
            /// in a gate call or runs a guest); a guest's supervisor; then it ends, with a line. The thread itself calls the gate, its
            /// registers are kept, floating point included, and what the handler is told, and answers, is in the words (`upcall`).
            ///
            /// `asks` says of what a thread's handler is asked: flags of `asked_of`, one at least. For spaces and subtrees it is 1. A call
            /// that is made in steps is asked of once.
            ///
            /// A handler that faults, exits or is closed meanwhile has passed a fault on; a thread of which a call was asked ends then.
            /// A call that cannot be asked of is refused: `TooDeep`, `AccountExhausted`, `OutOfMemory`. If the gate is closed or gone
            /// already, it is as if there were no handler. Who finds all stacks taken waits.
            ///
            /// Needs `CONTROL` on the object, `CALL` on the gate. Only a thread's handler sees registers and changes them, and only if
            /// the capability to the thread has `REGISTERS`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`, `BadState` for a thread that has ended,
            /// `Gone` for a gate that is closed, `AccountExhausted` and `OutOfMemory`, of the object's account.
            63 handler_set HandlerSet(object: Handle, gate: Handle, asks: u64);

            /// Tells a handler of a thread the registers of the thread that it is called on, in a `GuestState`, of which the first four
            /// words stay as they are.
            ///
            /// Returns 0. Errors: `BadState` if the thread is not in a handler, `MissingRight` if that may not see them, `BadPointer`.
            64 interrupted_read InterruptedRead(buffer: u64);

            /// The same the other way: with these registers the thread goes on. Of flags and control words only what a program can
            /// set itself is taken.
            ///
            /// Returns 0. Errors: those of `interrupted_read`; `BadAddress` for a pointer that is no user address.
            65 interrupted_write InterruptedWrite(buffer: u64);

            /// Makes a space that begins with all that another one has mapped, *copied when it is written to*: whichever of the two
            /// is written to, the other does not see it. It takes as long however much is mapped; the first write to a page
            /// pays for it. Subtrees that are attached stay the same in both, and so does what was pinned (`pin`).
            ///
            /// `flags`: 0, or the sum of 2, to be refused with `BadState` if anything in it could be taken back, and 1 for a clone that may
            /// only read what it begins with, but for what was pinned, and for subtrees that were attached as a window; nor does `protect`
            /// let it write, nor a clone of it. What is mapped in it later is as in any space.
            ///
            /// What is mapped by a capability that can be taken back is taken back from both. Core windows are the source's alone.
            ///
            /// Needs `CHARGE` on the account, and `INSPECT` and `MAP` on the space. The account is the one that pays for the space, or
            /// was split off from that, sixteen times at most. It is charged with what the space has mapped as though the new one had
            /// it alone: records, tables, and pages that were copied before; a page that is copied later is charged then, to the
            /// account of the space that is written to.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `AccountExhausted`,
            /// `OutOfMemory`, `TableFull`, `BadArgument` for any other account, or for unknown flags; `BadState` for a view, and for a
            /// space with subtrees attached below its top level, or with lockable segments; `LimitReached` if more than 16 subtrees are
            /// attached, or if more than 16 mappings can be taken back, or one that has 400 others before it.
            66 space_clone SpaceClone(account: Handle, space: Handle, flags: u64);

            /// Makes a subtree of the same level that begins with all that another one has mapped, copied when it is written to, as
            /// `space_clone` does for spaces, with the same flags. It is attached nowhere yet, and not sealed.
            ///
            /// Needs `CHARGE` on the account, of which the same holds as there, and `INSPECT`, `MAP` and `READ` on the subtree.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `AccountExhausted`,
            /// `OutOfMemory`, `TableFull`, `BadArgument` for any other account, or for unknown flags; `BadState` if it is public, or
            /// something is attached to it; `LimitReached` if more can be taken back than of a space that is cloned.
            67 subtree_clone SubtreeClone(account: Handle, subtree: Handle, flags: u64);

            /// Switches as `space_switch` does, and waits for locks until the time since boot is `until_ns` at most: 0 for not at all,
            /// `u64::MAX` for as long as it takes.
            ///
            /// Returns what that does. Errors: those of `space_switch`; `Busy` if it was not to wait, `TimedOut`.
            68 space_switch_until SpaceSwitchUntil(space: Handle, until_ns: u64);

            /// Pins a mapping of a space or subtree, all of it: in clones that are made from then on it stays the same memory, and is not
            /// copied when it is written to. Needs `MAP`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `Misaligned`, `BadAddress`, `NotMapped`, `BadArgument` if the
            /// range is not just one mapping, `BadState` if that was made before the space or subtree was cloned last, `Sealed`,
            /// `OutOfMemory`.
            69 pin Pin(target: Handle, address: u64, length_bytes: u64);

            /// Tells which pages of a space or subtree were written to since it was cloned last, or, if it is a clone, since it was made:
            /// addresses in order, from `from` on, into a buffer for `capacity` words, of which 64 are filled in at most. Needs `INSPECT`.
            /// What was pinned, or mapped since then, is not among them, nor what is attached.
            ///
            /// Returns how many they are, plus the address from which to go on, 0 if that was all. Errors: `BadHandle`, `WrongObject`,
            /// `MissingRight`, `BadPointer`.
            70 written_list WrittenList(target: Handle, from: u64, buffer: u64, capacity: u64);

            /// Maps as `map` does, but *copied when it is written to*: the first write to a page gives the space or subtree a page of its
            /// own, which its account pays for, and which nobody sees who sees the segment elsewhere. What was not written to shows what
            /// the segment has, later changes included. `WRITE` takes no right on the segment but `READ`. In a subtree the
            /// copies are seen wherever it is attached, so that is what a copy-on-write child of a segment is.
            ///
            /// Returns 0. Errors: those of `map`, and `BadState` for a lockable segment. A write that cannot be paid is a fault.
            71 map_private MapPrivate(target: Handle, segment: Handle, offset: u64, address: u64, length_bytes: u64, rights: Rights);

            /// Makes a segment longer. What it has memory for stays; what is new gets its memory on first touch, also if the
            /// segment was made with all of it. Needs `CONTROL`.
            ///
            /// Returns the length that it had before, bytes. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `Misaligned`,
            /// `BadArgument` for less than it has, or more than 1 TiB; `BadState` for a lockable segment, which is mapped whole, and for
            /// one of the boot archive; `AccountExhausted`, `OutOfMemory`.
            72 segment_grow SegmentGrow(segment: Handle, length_bytes: u64);

            /// Gives pages of a segment back: their memory is free again, wherever they are mapped, and they read as zeros until they
            /// get memory on first touch. What others paid for is paid back first. Needs `WRITE`.
            ///
            /// It works in steps, from the range's front on. Every mapping of the segment has to be known: those of one that was made to be
            /// discarded from (`segment_create`) are, and those made through derived capabilities.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `Misaligned`, `BadArgument` beyond the segment;
            /// `BadState` if it is mapped where that is not known, is the boot archive's, or a page has a guest's state;
            /// `LimitReached` if more than 16 mappings show a page, or more than 256 capabilities and mappings of the segment exist;
            /// `OutOfMemory`. What was given back before stays so.
            73 segment_discard SegmentDiscard(segment: Handle, offset: u64, length_bytes: u64);

            /// Moves what is mapped in a range of a space or subtree (`from`) to another one, or to another place in it, with its rights
            /// and all that it may be given. `flags`: 0, or 1 to have it in both places (to *lend* it). Whoever could take it back where it
            /// was, by revoking the capability it was mapped by, can take it back where it is. All that is in the range is in the new
            /// place before any of it goes from the old one.
            ///
            /// Needs `MAP` and `INSPECT` on `from`, `MAP` on `to`, and no capability to the memory.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument` (flags), `Misaligned`, `BadAddress`,
            /// `NotMapped`, `Overlap`, `Sealed`, `LimitReached` for more than 16 mappings, `BadState` for lockable memory and for what is
            /// copied when it is written to, and where another account pays for what was mapped by a first capability that is gone,
            /// `AccountExhausted`, `OutOfMemory`.
            74 mapping_move MappingMove(from: Handle, address: u64, length_bytes: u64, to: Handle, to_address: u64, flags: u64);

            /// Calls a gate: the thread goes on at its entry, in its space, on a free stack of its, with its table, until
            /// `gate_return`. Needs `CALL`. Six words go along, in `r12` to `r15`, `rbx` and `rbp`, or `x20` to `x25`. What the
            /// kernel leaves behind shows in no register, and flags are those of a new thread, there and back. What each side leaves
            /// in other registers (`x18`, `x19` and `x26` to `x30`, floating point and SIMD with their control, the thread pointer, GS
            /// base) the other finds: each sees to its own, as libvas does. (On aarch64 TPIDRRO_EL0 is zero as long as the thread has
            /// not used floating point or SIMD.) The callee finds the badge of the capability in `rdi` or `x0`.
            ///
            /// With a `capability` (the null handle for none) it is given along, with `rights`, and needs `GRANT`; the callee
            /// finds its handle in `rsi` or `x1`. Flags: 1 to wait for a stack, in order of coming, if all are taken; 2 to
            /// move the capability instead of deriving from it.
            ///
            /// Returns when the callee does, with its words in the same registers, and as value the handle of a capability that
            /// came along, or 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`, `TooDeep` in more than 15 calls,
            /// `Busy` if all stacks are taken, `WrongCpu` for the space of another CPU, `AccountExhausted` and `OutOfMemory` at
            /// a thread's first call, `TableFull`; `Gone` if the gate is closed, or it, its space, its table or the capability was
            /// taken away meanwhile; `Faulted` if the callee made a mistake that nobody sees to, or exited: no register tells
            /// anything then, floating point, SIMD and the thread pointer included.
            75 gate_call GateCall(gate: Handle, flags: u64, capability: Handle, rights: Rights);

            /// Returns from the call that the thread is in, with six words, and a capability as for `gate_call` (flags: 2 to move
            /// it). A thread that was stopped meanwhile ends when it comes out.
            ///
            /// Errors: `BadState` for a thread that is in no call, `BadHandle`, `MissingRight`, `BadArgument`, `TableFull` (of the
            /// caller's table).
            76 gate_return GateReturn(capability: Handle, rights: Rights, flags: u64);

            /// Runs a guest: the thread goes on with the registers in the guest's state, in a space, without any capability, until
            /// the guest makes a system call (of whatever number) or a mistake, is kicked, or the time since boot is
            /// `deadline_ns` (`u64::MAX` for never). Its registers are in its state then, with why it came out, and the
            /// thread has its own again, floating point and thread pointer included. Pages that get their memory on first
            /// touch get it without that. Flags: 1 to execute one instruction.
            /// Needs `RUN` on the guest and on the space. If space or guest is destroyed or revoked, the run ends with `Gone`, and the
            /// state has the registers as they were then. Returns why the guest came out, a number of `GuestEnd`.
            ///
            /// Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`, `BadAddress` for a pointer that is no user address,
            /// `Busy` if another thread runs it, `WrongCpu`, `TooDeep`, `Gone`, and `AccountExhausted`, `OutOfMemory` at the first.
            77 guest_run GuestRun(guest: Handle, space: Handle, flags: u64, deadline_ns: u64);
        }
    };
}
