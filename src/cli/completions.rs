//! What is made from the definition of the command line: scripts for shells, the manual page.

use clap_complete::shells::{Bash, Fish, Zsh};

use super::args::{self, Shell};
use super::screen::Screen;
use super::{Code, Failure};

const NAME: &str = "reprovm";

pub(super) fn script(shell: Shell, screen: &Screen) -> Result<u8, Failure> {
    let mut command = args::command();
    let mut text = Vec::new();
    match shell {
        Shell::Bash => clap_complete::generate(Bash, &mut command, NAME, &mut text),
        Shell::Zsh => clap_complete::generate(Zsh, &mut command, NAME, &mut text),
        Shell::Fish => clap_complete::generate(Fish, &mut command, NAME, &mut text),
    }
    screen.output(&text)?;
    Ok(Code::Success as u8)
}

pub(super) fn man(screen: &Screen) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(args::command()).render(&mut text).map_err(Failure::Output)?;
    screen.output(&text)?;
    Ok(Code::Success as u8)
}
