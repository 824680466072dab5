//! The table of system calls: number, name, arguments and documentation, written once.

/// The table itself: hands it to the macro of the caller's that is named, so that code for every call is written where
/// it belongs.
#[macro_export]
macro_rules! with_system_calls {
    ($then:ident) => {
        $then! {
            /// Does nothing: the cost of entering and leaving the kernel.
            ///
            /// Returns 0. Errors: none.
            0 null Null();

            /// Goes on at the next instruction, in another space.
            ///
            /// Needs `SWITCH` on the space. The top-level entries that hold the instruction pointer and the stack
            /// pointer must resolve to the same tables in both spaces, so that the switch cannot pull the ground
            /// from under the thread.
            ///
            /// A space in which lockable segments are mapped is entered with their locks: exclusively of those that may be written there,
            /// together with others of those that may only be read; by a view without `WRITE`, all together with others. The thread waits
            /// until it can have all of them, in the order of coming, and keeps what it holds where it is until then. It gives them up
            /// when it leaves: by a switch, a jump, its end, or because the space is destroyed or revoked. In a gate call it keeps them.
            ///
            /// Returns the handle by which the thread had entered the space it leaves, or the null handle if it
            /// entered otherwise. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `NotShared`, `WrongCpu`; with locks
            /// `Deadlock` if the thread would wait for itself, `AccountExhausted` and `OutOfMemory` at the first.
            1 space_switch SpaceSwitch(space: Handle);

            /// Enters a space at a given place, without the check of `space_switch`.
            ///
            /// The thread goes on at `instruction_pointer` with `stack_pointer`, `argument` as first and the handle
            /// of the space it came from as second function argument, and fresh flags as after `thread_start`; all other
            /// registers keep their values.
            ///
            /// Returns nothing on success. Errors: `BadHandle`, `WrongObject`, `MissingRight` (`SWITCH`),
            /// `BadAddress` if either pointer is no user address, `WrongCpu`; with locks those of `space_switch`.
            2 space_jump SpaceJump(space: Handle, instruction_pointer: u64, stack_pointer: u64, argument: u64);

            /// Lets other threads of the same priority run first.
            ///
            /// Returns 0. Errors: none.
            3 yield_now YieldNow();

            /// Stops the calling thread for at least this many nanoseconds.
            ///
            /// Returns 0. Errors: none.
            4 sleep Sleep(nanoseconds: u64);

            /// Reads the time since boot.
            ///
            /// Returns nanoseconds. Errors: none.
            5 clock Clock();

            /// Writes UTF-8 text to the machine's console, whole. Meant for debugging and tests: needs no capability.
            ///
            /// Does not wait for the serial line, unless so much is on its way already that programs have to take turns. Lines
            /// that begin with `[kernel]` are the kernel's: this comes out as `[kernel?]`. Besides line ends and tabs, control
            /// characters and invisible ones come out as characters that stand for them.
            ///
            /// Returns 0. Errors: `BadPointer`, `BadText` (also for more than 4096 bytes).
            6 console_write ConsoleWrite(text: u64, length_bytes: u64);

            /// Makes a thread that has not started yet.
            ///
            /// Needs `CHARGE` on the account, `CONTROL` on the table it will use, since it will have all that is in it, and
            /// `SWITCH` on the space it will start in. Priority is 0 to 31, at most the caller's own.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`,
            /// `AccountExhausted`, `OutOfMemory`, `TableFull`.
            7 thread_create ThreadCreate(account: Handle, table: Handle, space: Handle, priority: u64);

            /// Starts a new thread at `instruction_pointer` with `stack_pointer` and one function argument.
            ///
            /// Flags and floating-point control are as the platform's ABI wants them at a function's entry: x86_64 DF, AC, NT and
            /// TF clear, MXCSR 0x1f80, x87 control word 0x37f; aarch64 PSTATE without condition flags, FPCR and FPSR 0. All other
            /// registers are 0.
            ///
            /// Needs `REGISTERS`. Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadAddress`,
            /// `BadState` if it was started before.
            8 thread_start ThreadStart(thread: Handle, instruction_pointer: u64, stack_pointer: u64, argument: u64);

            /// Ends the calling thread; `code` goes to whoever joins it.
            ///
            /// Returns nothing. Errors: none.
            9 thread_exit ThreadExit(code: u64);

            /// Waits until a thread has ended.
            ///
            /// Needs `WAIT`. Returns the thread's exit code. Errors: `BadHandle`, `WrongObject`, `MissingRight`,
            /// `Deadlock` for the caller itself and for who waits for it, `LimitReached` if the thread waits for another one,
            /// that for a third, and so on, 1,024 of them and more, `Faulted` if it stopped by a fault, `Gone` if it was stopped
            /// or destroyed.
            10 thread_join ThreadJoin(thread: Handle);

            /// Fills in a `ThreadInfo`. Needs `CONTROL`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadPointer`.
            11 thread_info ThreadInfo(thread: Handle, buffer: u64);

            /// Ends another thread wherever it is; those who join it get `Gone`. Needs `CONTROL`.
            ///
            /// Returns 0; a thread that has ended already stays as it is. Errors: `BadHandle`, `WrongObject`,
            /// `MissingRight`.
            12 thread_stop ThreadStop(thread: Handle);

            /// Sets a thread's priority, 0 to 31, at most the caller's own. Needs `CONTROL`.
            ///
            /// Returns the old priority. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`.
            13 thread_set_priority ThreadSetPriority(thread: Handle, priority: u64);

            /// Sets the calling thread's thread pointer (x86_64 FS base, aarch64 TPIDR_EL0).
            ///
            /// Returns what it was. Errors: `BadAddress` if it is neither 0 nor a user address.
            14 thread_set_pointer ThreadSetPointer(value: u64);

            /// Sets where the calling thread lands if its space is destroyed or revoked under it. Needs `SWITCH` on the space.
            ///
            /// It then goes on in `space` at `instruction_pointer` with `stack_pointer` and the reason code as first
            /// function argument. Whatever it was doing, it finds flags and floating-point control as after `thread_start`, and
            /// the floating-point and SIMD registers cleared; other registers are as they were, or zero if it was in a gate call, as
            /// they were the callee's. The null handle takes the fallback away.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadAddress`.
            15 thread_set_fallback ThreadSetFallback(space: Handle, instruction_pointer: u64, stack_pointer: u64);

            /// Splits a budget of `bytes` off an account. Needs `SPLIT`.
            ///
            /// The new account's record is charged to the old one; the whole budget returns to it when the new one goes.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`,
            /// `AccountExhausted`, `OutOfMemory`, `TableFull`.
            16 account_create AccountCreate(account: Handle, bytes: u64);

            /// Fills in an `AccountInfo`. Needs `CHARGE` or `CONTROL`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadPointer`.
            17 account_info AccountInfo(account: Handle, buffer: u64);

            /// Makes a child of a capability in the caller's table. Rights must be a subset of the parent's.
            ///
            /// Returns the new handle. Errors: `BadHandle`, `MissingRight` for a right the parent lacks,
            /// `TableFull`.
            18 capability_derive CapabilityDerive(handle: Handle, rights: Rights, badge: u64);

            /// Like `capability_derive`, but into another table. Needs `GRANT`, and `INSERT` on the table.
            ///
            /// Returns the handle's value in that table. Errors: `BadHandle`, `WrongObject`, `MissingRight`,
            /// `TableFull`.
            19 capability_copy CapabilityCopy(handle: Handle, table: Handle, rights: Rights, badge: u64);

            /// Gives a capability up. If it was the last to its object, the object goes too.
            ///
            /// Returns 0. Errors: `BadHandle`.
            20 capability_delete CapabilityDelete(handle: Handle);

            /// Fills in a `CapabilityInfo`: kind, rights, badge, parent, name of the object.
            ///
            /// Returns 0. Errors: `BadHandle`, `BadPointer`.
            21 capability_info CapabilityInfo(handle: Handle, buffer: u64);

            /// Names an object, for people: at most 32 bytes of UTF-8, no control characters or invisible ones. Needs `CONTROL`.
            ///
            /// Returns 0. Errors: `BadHandle`, `MissingRight`, `BadPointer`, `BadText`, `WrongObject` for the machine.
            22 object_set_name ObjectSetName(handle: Handle, text: u64, length_bytes: u64);

            /// Makes a capability table with room for `slots` capabilities (1 to 65,536). Needs `CHARGE`.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`,
            /// `AccountExhausted`, `OutOfMemory`, `TableFull`.
            23 table_create TableCreate(account: Handle, slots: u64);

            /// Makes a segment of zeroed memory. Needs `CHARGE`. `flags`: 0, or the sum of 1 to populate on first touch and 2
            /// for one that is lockable (`space_switch`). The account pays
            /// for pages that are there from the start, and for those first touched where they may be written; for others pays
            /// the account of the space that touched them.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`
            /// (zero length, more than 1 TiB, unknown flag), `Misaligned`, `AccountExhausted`, `OutOfMemory`,
            /// `TableFull`.
            24 segment_create SegmentCreate(account: Handle, length_bytes: u64, flags: u64);

            /// Fills in a `SegmentInfo`. Needs `READ` or `CONTROL`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadPointer`.
            25 segment_info SegmentInfo(segment: Handle, buffer: u64);

            /// Makes an empty space. Needs `CHARGE`. Its tables are charged to the account.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`,
            /// `AccountExhausted`, `OutOfMemory`, `TableFull`.
            26 space_create SpaceCreate(account: Handle);

            /// Fills in a `SpaceInfo`. Needs `INSPECT`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadPointer`.
            27 space_info SpaceInfo(space: Handle, buffer: u64);

            /// Lists mappings and attachments of a space or subtree in order of address, beginning with the first that ends
            /// after `from`: public subtrees too, for a view what its base has within the view's bounds, and of a slot's core
            /// windows the lowest CPU's. Needs `INSPECT`. The buffer holds `capacity` `MappingInfo`.
            ///
            /// Returns how many it filled in. Errors: `BadHandle`, `WrongObject`, `MissingRight`; `BadPointer` where what comes next
            /// does not fit, with what was before it filled in.
            28 mappings_list MappingsList(target: Handle, from: u64, buffer: u64, capacity: u64);

            /// Makes an empty subtree. Needs `CHARGE`. `level` is that of the entry it will hang from: 3 for a top-level
            /// entry, 512 GiB; 2 for 1 GiB; 1 for 2 MiB.
            ///
            /// Returns a handle with all rights. Errors: `BadHandle`, `WrongObject`, `MissingRight`,
            /// `WrongLevel` for another level, `AccountExhausted`, `OutOfMemory`, `TableFull`.
            29 subtree_create SubtreeCreate(account: Handle, level: u64);

            /// Fills in a `SubtreeInfo`. Needs `INSPECT`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadPointer`.
            30 subtree_info SubtreeInfo(subtree: Handle, buffer: u64);

            /// Attaches a subtree to one entry of a space, or of another subtree of a higher level (`target`; there the
            /// address counts from its start). `bounds` limit what its mappings allow there: the entry itself says so to
            /// the hardware. `flags`: 0, or 1 for a *window*, which keeps its bounds in views of the space.
            ///
            /// Needs `MAP` on the target and, on the subtree, each of `READ`, `WRITE`, `EXECUTE` that `bounds` holds.
            /// `bounds` may hold both `WRITE` and `EXECUTE`: no mapping below does. The address is a multiple of the
            /// subtree's size; below the top level, the tables on the way to the entry are charged to the target's account.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument` (no `READ` in bounds, unknown
            /// flag, or a window that is not at the top level of a space), `Misaligned`, `BadAddress`, `Overlap`,
            /// `WrongLevel` if the target's level is not above the subtree's (as when a subtree is attached to itself),
            /// `TooDeep` if the subtree holds subtrees itself, or the target lies in one, `Sealed` if the target is sealed,
            /// `BadState` if the subtree is public, or has a core window, or is to be attached to a public one,
            /// `AccountExhausted`, `OutOfMemory`.
            31 subtree_attach SubtreeAttach(target: Handle, subtree: Handle, address: u64, bounds: Rights, flags: u64);

            /// Takes the attachment that begins at `address` out of a space or subtree. Needs `MAP` on it.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `Misaligned`, `BadAddress`, `NotMapped`,
            /// `Sealed`.
            32 subtree_detach SubtreeDetach(target: Handle, address: u64);

            /// Maps `length_bytes` of a segment from `offset` at `address` in a space or subtree (`target`; in a
            /// subtree the address counts from its start).
            ///
            /// Needs `MAP` on the target and on the segment each of the rights asked for; `READ` always, `WRITE` and
            /// `EXECUTE` never together. 2 MiB and 1 GiB pages are used where address, offset and memory allow.
            ///
            /// A lockable segment is mapped whole, once in a space, four of them at most, and each in 32 spaces; not in subtrees, nor
            /// in a space that has views. Such a space is entered by switches and jumps only: no gate leads there, no guest runs there, no
            /// thread begins or lands there.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument` (rights without `READ`
            /// or range beyond the segment), `Misaligned`, `BadAddress`, `Overlap`, `WriteExecute`, `Sealed`,
            /// `AccountExhausted`, `OutOfMemory`; of a lockable segment also `BadArgument` for a part of it, `BadState` in a subtree, in a
            /// space with views and where it is mapped already, `Busy` while a thread is in the space, `LimitReached`.
            33 map Map(target: Handle, segment: Handle, offset: u64, address: u64, length_bytes: u64, rights: Rights);

            /// Unmaps a range of a space or subtree; every page of it must be mapped. Needs `MAP`.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `Misaligned`, `BadAddress`,
            /// `NotMapped`, `Sealed`, `OutOfMemory`, and if a mapping or a large page must be split `AccountExhausted`.
            34 unmap Unmap(target: Handle, address: u64, length_bytes: u64);

            /// Changes what a mapped range allows; never beyond what the segment capability allowed when it was
            /// mapped. Needs `MAP`.
            ///
            /// Returns 0. Errors: as `unmap`, and `MissingRight` for rights beyond those of the segment capability,
            /// `BadArgument` (no `READ`), `WriteExecute`.
            35 protect Protect(target: Handle, address: u64, length_bytes: u64, rights: Rights);

            /// Copies memory out of a space, running or not, into the caller's memory. Needs `INSPECT`. Pages that have no
            /// memory yet are read as zeros. The copy is exact wherever its sides lie, also over each other.
            ///
            /// Returns the bytes copied, always all. Errors: `BadHandle`, `WrongObject`, `MissingRight`,
            /// `BadArgument` (more than 16 MiB), `BadAddress` (the space's side), `BadPointer` (the caller's side), `Overlap`
            /// (the sides show the same pages in orders such that no order of copying is right).
            36 memory_read MemoryRead(space: Handle, address: u64, buffer: u64, length_bytes: u64);

            /// Copies the caller's memory into a space, running or not. Needs `MAP`. The pages must be writable there.
            ///
            /// Returns the bytes copied, always all. Errors: as `memory_read`.
            37 memory_write MemoryWrite(space: Handle, address: u64, buffer: u64, length_bytes: u64);

            /// Fills in `Counters` of one CPU. Needs no capability.
            ///
            /// Returns the number of CPUs. Errors: `BadArgument` for a CPU that is not there, `BadPointer`.
            38 counters Counters(cpu: u64, buffer: u64);

            /// Ends the machine with an exit code, 0 to 255. Needs `CONTROL` on the machine.
            ///
            /// Returns nothing. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`.
            39 machine_power_off MachinePowerOff(machine: Handle, code: u64);

            /// Runs every consistency check the kernel has over its own state. Needs `INSPECT` on the machine.
            ///
            /// Returns the number of facts checked; the first one found false panics the kernel, which is what the
            /// call is for. All of them are checked if nobody else does anything meanwhile. If others do, facts are left out
            /// that take many looks, when something was done between these again and again.
            /// Errors: `BadHandle`, `WrongObject`, `MissingRight`.
            40 machine_check MachineCheck(machine: Handle);

            /// Makes the kernel itself do something forbidden, for tests of its last defences; `what` is a number of
            /// `layout::Provocation`. Needs `CONTROL` on the machine.
            ///
            /// Returns 0 if the kernel survived. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument`.
            41 machine_provoke MachineProvoke(machine: Handle, what: u64);

            /// Fills in a `MachineInfo`: memory, CPUs, objects by kind. What comes and goes meanwhile may be counted or not.
            /// Needs `INSPECT` on the machine.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadPointer`.
            42 machine_info MachineInfo(machine: Handle, buffer: u64);

            /// Sets on which CPUs a thread may run: bit n of `cpus` for CPU n. Needs `CONTROL`. A thread that is inside
            /// a CPU-local space runs on that space's CPU all the same until it leaves it.
            ///
            /// Returns 0; a thread on a CPU it may not use any more moves when it next enters the kernel. Errors:
            /// `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument` if no running CPU is in the set, `WrongCpu` if
            /// the thread is in a space local to a CPU outside of it.
            43 thread_set_affinity ThreadSetAffinity(thread: Handle, cpus: u64);

            /// Like `space_create`, for a space that is local to one CPU: it can be entered only there, and so its
            /// changes never interrupt another CPU.
            ///
            /// Returns a handle with all rights. Errors: as `space_create`, and `BadArgument` for a CPU that is not
            /// running.
            44 space_create_local SpaceCreateLocal(account: Handle, cpu: u64);

            /// Attaches a subtree at a top-level entry of a space *on one CPU only*: a core window. On other CPUs the
            /// slot is empty or shows what is attached there for them. A subtree in a core window can be attached
            /// nowhere else, so its changes concern that CPU alone.
            ///
            /// Needs the rights of `subtree_attach`; the subtree's level is 3. Views of the space do not show core windows.
            /// The first core window of a space charges its account with a root
            /// table for each CPU.
            ///
            /// Returns 0. Errors: as `subtree_attach`, and `BadArgument` for a CPU that is not running, `BadState` if the
            /// subtree is attached anywhere already.
            45 subtree_attach_core SubtreeAttachCore(space: Handle, subtree: Handle, address: u64, bounds: Rights, cpu: u64);

            /// Takes a core window out. Needs `MAP` on the space.
            ///
            /// Returns 0. Errors: as `subtree_detach`, and `BadArgument` for a CPU that is not running.
            46 subtree_detach_core SubtreeDetachCore(space: Handle, address: u64, cpu: u64);

            /// Ends every thread that uses a capability table, which is what makes up a program, but for the caller
            /// itself. Needs `CONTROL`.
            ///
            /// They end one after the other, and others may run in between. Returns how many it ended. Errors: `BadHandle`,
            /// `WrongObject`, `MissingRight`.
            47 table_stop_threads TableStopThreads(table: Handle);

            /// Freezes a subtree for good: from here on nothing is mapped, unmapped, protected, attached or detached in it.
            /// Its memory's contents may change still, and pages that are populated on first touch appear. Needs `CONTROL`.
            ///
            /// Returns 0, also for a subtree that is sealed already. Errors: `BadHandle`, `WrongObject`, `MissingRight`.
            48 subtree_seal SubtreeSeal(subtree: Handle);

            /// Takes a subtree out of every place where it is attached or public, sealed subtrees included: a seal is for who
            /// maps into the outer one, not for who owns what lies there. Needs `CONTROL` on it.
            ///
            /// When the call returns, no CPU uses a translation of it in any of them any more. The subtree itself stays for
            /// who holds it.
            ///
            /// Returns how many places there were; a public subtree's count as one. Errors: `BadHandle`, `WrongObject`,
            /// `MissingRight`.
            49 subtree_withdraw SubtreeWithdraw(subtree: Handle);

            /// Makes a subtree of level 3 public: it appears at `address` in every space that exists or is made from now
            /// on, views included, with the same bounds, and its translations are global: one serves all spaces.
            ///
            /// Needs `CONTROL` on the machine and, on the subtree, each of the rights in `bounds`: `READ`, or `READ` and
            /// `EXECUTE`. The first slot is for programs (`BadAddress`). It is public until `subtree_withdraw`, or until the last
            /// capability to it goes.
            ///
            /// Returns 0. Errors: `BadHandle`, `WrongObject`, `MissingRight`, `BadArgument` (no `READ` in bounds, or
            /// `WRITE`), `Misaligned`, `BadAddress`, `WrongLevel` for a subtree of another level, `BadState` if it is
            /// attached or public already, holds subtrees, or was cloned or is a clone, `Overlap` if any space has something
            /// there.
            50 subtree_publish SubtreePublish(machine: Handle, subtree: Handle, address: u64, bounds: Rights);

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
            /// `flags`: 0, or 1 for a clone that may only read what it begins with, but for what was pinned, and for subtrees that were
            /// attached as a window; nor does `protect` let it write, nor a clone of it. What is mapped in it later is as in any space.
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
            71 gate_call GateCall(gate: Handle, flags: u64, capability: Handle, rights: Rights);

            /// Returns from the call that the thread is in, with six words, and a capability as for `gate_call` (flags: 2 to move
            /// it). A thread that was stopped meanwhile ends when it comes out.
            ///
            /// Errors: `BadState` for a thread that is in no call, `BadHandle`, `MissingRight`, `BadArgument`, `TableFull` (of the
            /// caller's table).
            72 gate_return GateReturn(capability: Handle, rights: Rights, flags: u64);

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
            73 guest_run GuestRun(guest: Handle, space: Handle, flags: u64, deadline_ns: u64);
        }
    };
}
