//! Local wishes: what somebody on the node asks for, authorised by the socket's peer credentials.
//!
//! They are kept apart from the fleet's document. A name of the fleet's is refused with its owner.

use std::collections::{BTreeMap, BTreeSet};

use skerry_core::admit;
use skerry_core::agent::placement::check_no_selectors;
use skerry_core::agent::{AgentSpec, SpecError};
use skerry_core::desired::{LocalWish, own_names};
use skerry_core::document::{check_agents, check_configs};
use skerry_core::ids::{AgentName, DataKey, DataName};

use super::{Ledger, LedgerError, Verb, put};
use crate::api::{Applied, Apply};
use crate::store::{Change, Space};

impl Ledger {
    /// Takes a list of agents: all of them or none.
    pub(super) fn apply(&mut self, apply: Apply) -> Result<Applied, LedgerError> {
        if !self.local_allowed {
            return Err(LedgerError::NoLocal);
        }
        check_no_selectors(&apply.agents)?;
        for spec in &apply.agents {
            for name in own_names(spec) {
                self.refuse_fleet(&name)?;
            }
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = apply.agents.iter().find(|spec| !names.insert(&spec.name)) {
            return Err(SpecError::Duplicate(twice.name.clone()).into());
        }
        let mut next = self.local.clone();
        let mut applied = Applied::default();
        if apply.prune {
            next.retain(|name, _| apply.agents.iter().any(|spec| spec.name == *name));
            let gone = self.local.keys().filter(|name| !next.contains_key(name));
            applied.removed = gone.cloned().collect();
        }
        for spec in apply.agents {
            let name = spec.name.clone();
            let wish = LocalWish { spec, stopped: false, generation: 0 };
            match self.local.get(&name) {
                None => applied.created.push(name.clone()),
                Some(old) if old.spec == wish.spec && !old.stopped => {
                    applied.unchanged.push(name);
                    continue;
                }
                Some(_) => applied.changed.push(name.clone()),
            }
            next.insert(name, wish);
        }
        let mut configs = self.local_configs.clone();
        configs.extend(apply.configs.clone());
        check_configs(&configs)?;
        let specs: Vec<_> = next.values().map(|wish| wish.spec.clone()).collect();
        check_agents(&specs)?;
        let fleet = self.document.iter().flat_map(|document| &document.get().agents);
        let fleet = fleet.filter(|spec| !next.contains_key(&spec.name));
        // What is there already is not refused for what comes.
        let comes = |spec: &AgentSpec| {
            applied.created.contains(&spec.name) || applied.changed.contains(&spec.name)
        };
        let wanted = next.values().filter(|wish| !wish.stopped).map(|wish| &wish.spec);
        let (new, old): (Vec<_>, Vec<_>) = wanted.partition(|spec| comes(spec));
        admit::check(new, fleet.chain(old), &self.profile)?;
        if apply.dry_run {
            return Ok(applied);
        }
        let removals =
            applied.removed.iter().map(|name| Change::remove(Space::Local, name.as_str()));
        let touched = applied.created.iter().chain(&applied.changed);
        let puts = touched.filter_map(|name| {
            next.get(name).map(|wish| put(Space::Local, name.as_str().as_bytes(), wish))
        });
        let set = apply.configs.iter().filter(|(name, v)| self.local_configs.get(name) != Some(v));
        let set = set.map(|(name, values)| put(Space::Config, name.as_str().as_bytes(), values));
        let changes: Vec<_> = removals.chain(puts).chain(set).collect();
        if !changes.is_empty() {
            self.commit(&changes)?;
            self.local = next;
            self.local_configs = configs;
            self.publish();
        }
        Ok(applied)
    }

    /// Changes one agent.
    pub(super) fn change(&mut self, name: &AgentName, verb: Verb) -> Result<Applied, LedgerError> {
        let Some(wish) = self.local.get(name) else {
            self.refuse_fleet(name)?;
            let mut specs = self.local.values().map(|wish| &wish.spec);
            return Err(match specs.find(|spec| own_names(spec).contains(name)) {
                Some(whole) => LedgerError::Part(name.clone(), whole.name.clone()),
                None => LedgerError::Unknown(name.clone()),
            });
        };
        let mut wish = wish.clone();
        let mut applied = Applied::default();
        match verb {
            Verb::Remove => {
                self.refuse_needed(name)?;
                self.commit(&[Change::remove(Space::Local, name.as_str())])?;
                self.local.remove(name);
                applied.removed.push(name.clone());
                self.publish();
                return Ok(applied);
            }
            Verb::Stop if wish.stopped => applied.unchanged.push(name.clone()),
            Verb::Stop => {
                wish.stopped = true;
                applied.removed.push(name.clone());
            }
            // A job that is not stopped is run now, beside its schedule.
            Verb::Start if !wish.stopped && wish.spec.job.is_none() => {
                applied.unchanged.push(name.clone());
            }
            Verb::Start | Verb::Restart => {
                wish.stopped = false;
                wish.generation += 1;
                applied.changed.push(name.clone());
            }
        }
        if applied.unchanged.is_empty() {
            self.commit(&[put(Space::Local, name.as_str().as_bytes(), &wish)])?;
            self.local.insert(name.clone(), wish);
            self.publish();
        }
        Ok(applied)
    }

    /// Sets a config of local agents, or removes it. Agents that read it run anew.
    pub(super) fn configure(
        &mut self,
        name: DataName,
        values: Option<BTreeMap<DataKey, String>>,
    ) -> Result<Applied, LedgerError> {
        if !self.local_allowed {
            return Err(LedgerError::NoLocal);
        }
        let mut next = self.local_configs.clone();
        let change = match values {
            Some(values) => {
                let change = put(Space::Config, name.as_str().as_bytes(), &values);
                next.insert(name, values);
                check_configs(&next)?;
                change
            }
            None if next.remove(&name).is_none() => return Err(LedgerError::UnknownConfig(name)),
            None => Change::remove(Space::Config, name.as_str()),
        };
        if next != self.local_configs {
            self.commit(&[change])?;
            self.local_configs = next;
            self.publish();
        }
        Ok(Applied::default())
    }

    fn refuse_fleet(&self, name: &AgentName) -> Result<(), LedgerError> {
        let Some(document) = &self.document else { return Ok(()) };
        let taken = document.get().agents.iter().any(|spec| own_names(spec).contains(name));
        if taken && !self.local.contains_key(name) {
            return Err(LedgerError::Fleet(name.clone(), document.get().version));
        }
        Ok(())
    }

    fn refuse_needed(&self, name: &AgentName) -> Result<(), LedgerError> {
        let mut others = self.local.values().map(|wish| &wish.spec);
        match others.find(|spec| spec.name != *name && spec.depends_on.contains_key(name)) {
            Some(by) => Err(LedgerError::Needed(name.clone(), by.name.clone())),
            None => Ok(()),
        }
    }
}
