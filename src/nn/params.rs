//! Trainable parameters: named, in the order of the model, shared with the decoder that computes with them.

use candle_core::{Result, Tensor, Var};

/// Named variables in a fixed order. Cloning shares the values.
#[derive(Clone, Debug, Default)]
pub struct Params {
    entries: Vec<(String, Var)>,
}

impl Params {
    /// None yet.
    pub fn new() -> Self {
        Params::default()
    }

    /// Adds a variable that starts as a copy of `value`, and returns the tensor to compute with.
    ///
    /// # Errors
    /// Where the copy cannot be made.
    pub fn add(&mut self, name: impl Into<String>, value: &Tensor) -> Result<Tensor> {
        let variable = Var::from_tensor(&value.detach())?;
        let tensor = variable.as_tensor().clone();
        self.entries.push((name.into(), variable));
        Ok(tensor)
    }

    /// Adds a variable that starts as `value` and is its very storage, where that storage may be written to; else as
    /// [`Params::add`]. Whoever else holds `value` sees the optimiser's steps.
    ///
    /// # Errors
    /// Where a copy cannot be made.
    pub fn take_over(&mut self, name: impl Into<String>, value: &Tensor) -> Result<Tensor> {
        if !value.is_variable() {
            return self.add(name, value);
        }
        let variable = Var::from_tensor(value)?;
        let tensor = variable.as_tensor().clone();
        self.entries.push((name.into(), variable));
        Ok(tensor)
    }

    /// Name and variable, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.entries.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Numbers in all of them.
    pub fn elements(&self) -> usize {
        self.iter().map(|(_, variable)| variable.elem_count()).sum()
    }

    /// The variable of that name.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.iter().find(|(known, _)| *known == name).map(|(_, variable)| variable)
    }

    /// Name and present value, in order; the values share the variables' storage, without gradient.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        self.iter().map(|(name, variable)| (name.to_string(), variable.as_detached_tensor())).collect()
    }

    /// Overwrites every variable, in place, by the value of its name.
    ///
    /// # Errors
    /// Where one is missing or has another shape.
    pub fn load(&self, find: impl Fn(&str) -> Option<Tensor>) -> Result<()> {
        for (name, variable) in self.iter() {
            let Some(value) = find(name) else { candle_core::bail!("the parameter {name} has no value to load") };
            if value.shape() != variable.shape() {
                candle_core::bail!("the parameter {name} is {:?}, not {:?}", variable.shape(), value.shape());
            }
            variable.set(&value)?;
        }
        Ok(())
    }
}
