//! The steps that are more than one command. Each is atomic: nothing else runs on the server meanwhile.
//!
//! 1. Numbers of the scripts are doubles, and their text would be cut at fourteen digits: whatever is kept or answered
//!    stays the text that it was, or is formatted.
//! 2. Whatever can be refused is refused before the first write, for a script that fails undoes nothing. So what is to
//!    be told is told first: nobody can hear of it before the step is done.
//! 3. A step that writes says so in its first line: then a server that is full, or a replica, refuses it as a whole.
//!    What ends logins is taken on a full server, too.

pub(super) mod leases;
pub(super) mod steps;
