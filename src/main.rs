//! The program: everything it does is in the library.

/// Keeps large blocks between steps, where the system's allocator would give them back and fault them anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    srlm::cli::main()
}
