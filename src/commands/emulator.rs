//! `emulator`
