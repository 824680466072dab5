//! What must hold of locks, by the words of `space_switch`: from who is where, and who waits for what.

/// A lock, by its segment.
pub(crate) type Lock = usize;

/// What a thread holds of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) lock: Lock,
    pub(crate) exclusively: bool,
}

/// A thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actor {
    /// What it holds where it goes back to, and where it is, the lowest first.
    pub(crate) levels: Vec<Vec<Hold>>,
    /// What it wants where it waits to go, if it does.
    pub(crate) wants: Option<Vec<Hold>>,
    /// For which lock it waits then.
    pub(crate) awaits: Option<Lock>,
    /// For whose end it waits.
    pub(crate) joins: Option<usize>,
}

impl Actor {
    fn held(&self) -> impl Iterator<Item = Hold> + '_ {
        self.levels.iter().flatten().copied()
    }

    /// What it holds on to when it goes on from where it is.
    fn kept(&self) -> impl Iterator<Item = Hold> + '_ {
        self.levels.iter().rev().skip(1).flatten().copied()
    }
}

/// How many hold a lock exclusively, and how many together.
pub(crate) fn counts(actors: &[Actor], lock: Lock) -> (usize, usize) {
    let holds = actors.iter().flat_map(Actor::held).filter(|hold| hold.lock == lock);
    let (writers, readers): (Vec<Hold>, Vec<Hold>) = holds.partition(|hold| hold.exclusively);
    (writers.len(), readers.len())
}

/// Whether a thread could have all that it wants if nobody waited, as those are who hold something.
pub(crate) fn is_free(actors: &[Actor], who: usize, wants: &[Hold]) -> bool {
    wants.iter().all(|want| {
        let others = actors.iter().enumerate().filter(|(index, _)| *index != who).flat_map(|(_, actor)| actor.held());
        let mut all = others.chain(actors[who].kept()).filter(|hold| hold.lock == want.lock);
        all.all(|hold| !want.exclusively && !hold.exclusively)
    })
}

/// Whether a thread that wants this would wait for itself: it goes on when all have gone who hold any of it or want any of it as well
/// and came before, and so do they.
pub(crate) fn is_ring(actors: &[Actor], who: usize, wants: &[Hold]) -> bool {
    let mut reached = vec![false; actors.len()];
    let mut next = vec![(who, true)];
    while let Some((index, is_first)) = next.pop() {
        if !is_first && index == who {
            return true;
        }
        if core::mem::replace(&mut reached[index], true) {
            continue;
        }
        let actor = &actors[index];
        let wanted = if is_first { wants } else { actor.wants.as_deref().unwrap_or(&[]) };
        for (other, holder) in actors.iter().enumerate() {
            let held: Vec<Hold> = if other == index { holder.kept().collect() } else { holder.held().collect() };
            if held.iter().any(|hold| wanted.iter().any(|want| want.lock == hold.lock)) {
                next.push((other, false));
            }
        }
        next.extend(actor.joins.map(|other| (other, false)));
    }
    false
}

/// Whether some thread waits for itself: for who holds the lock that it waits for, or whose end it waits for, and so on.
pub(crate) fn is_anybody_stuck(actors: &[Actor]) -> bool {
    let next = |index: usize| {
        let holders = actors.iter().enumerate().filter(move |(other, actor)| {
            let awaited = actors[index].awaits;
            let holds = |mut held: Box<dyn Iterator<Item = Hold> + '_>| held.any(|hold| Some(hold.lock) == awaited);
            if *other == index { holds(Box::new(actor.kept())) } else { holds(Box::new(actor.held())) }
        });
        holders.map(|(other, _)| other).chain(actors[index].joins)
    };
    (0..actors.len()).any(|start| {
        let (mut reached, mut left) = (vec![false; actors.len()], next(start).collect::<Vec<_>>());
        while let Some(index) = left.pop() {
            if index == start {
                return true;
            }
            if !core::mem::replace(&mut reached[index], true) {
                left.extend(next(index));
            }
        }
        false
    })
}
