//! Which rights the app needs for what: one table for explaining a 403 and for the preflight.
//!
//! Names and least privileges: Microsoft Graph permissions reference; who may act on administrators: "Who can
//! perform sensitive actions" in the reference of the user resource.

use crate::token::Rights;

/// What a call needs; the vendor's 403 does not say which of the two is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// One of these application permissions; the first is the one we advise.
    pub(crate) any_of: &'static [&'static str],
    /// A directory role that may act on administrators, too.
    pub(crate) role: bool,
    /// What does not work without it, for the preflight.
    pub(crate) why: &'static str,
}

pub(crate) const PRIVILEGED_AUTHENTICATION_ADMINISTRATOR: &str = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13";
pub(crate) const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";

pub(crate) const ACCOUNTS: Need = Need {
    any_of: &["User.ReadWrite.All", "Directory.ReadWrite.All"],
    role: false,
    why: "accounts cannot be found, made or cut off",
};
pub(crate) const SIGN_IN: Need = Need {
    any_of: &["User.ReadWrite.All", "User.EnableDisableAccount.All"],
    role: true,
    why: "an account that holds a role cannot be disabled",
};
pub(crate) const SESSIONS: Need =
    Need { any_of: &["User.ReadWrite.All", "User.RevokeSessions.All"], role: true, why: "sessions cannot be cut" };
pub(crate) const PASSWORDS: Need =
    Need { any_of: &["User-PasswordProfile.ReadWrite.All"], role: true, why: "passwords cannot be rotated" };
pub(crate) const DELETION: Need = Need {
    any_of: &["User.ReadWrite.All", "User.DeleteRestore.All"],
    role: true,
    why: "burner accounts cannot be deleted",
};
pub(crate) const ROLES: Need =
    Need { any_of: &["RoleManagement.ReadWrite.Directory"], role: false, why: "roles cannot be read, given or taken" };
pub(crate) const GROUPS: Need = Need {
    any_of: &["GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All"],
    role: false,
    why: "groups cannot be read, given or taken",
};
pub(crate) const METHODS: Need = Need {
    any_of: &["UserAuthenticationMethod.ReadWrite.All"],
    role: false,
    why: "sign-in methods that were added during a grant cannot be seen or removed",
};
pub(crate) const DOMAINS: Need = Need {
    any_of: &["Domain.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"],
    role: false,
    why: "the domains for sign-in names cannot be checked",
};
pub(crate) const GROUP_OWNERS: Need = Need {
    any_of: &["Group.ReadWrite.All", "Directory.ReadWrite.All"],
    role: false,
    why: "a group that an account came to own during a grant cannot be taken from it",
};
pub(crate) const APP_OWNERS: Need = Need {
    any_of: &["Application.ReadWrite.All"],
    role: false,
    why: "an application that an account came to own during a grant cannot be taken from it",
};

pub(crate) const ORGANIZATION: Need = Need {
    any_of: &["User.ReadWrite.All", "Organization.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"],
    role: false,
    why: "the tenant's licence cannot be read",
};
pub(crate) const UNITS: Need = Need {
    any_of: &["AdministrativeUnit.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"],
    role: false,
    why: "emergency access accounts in restricted management units cannot be listed",
};

/// Without these no grant works.
pub(crate) const NEEDED: [Need; 6] = [ACCOUNTS, PASSWORDS, ROLES, GROUPS, METHODS, DOMAINS];

/// Without these something is left undone, and said so.
pub(crate) const OPTIONAL: [Need; 3] = [UNITS, GROUP_OWNERS, APP_OWNERS];

impl Need {
    /// The permission that is advised.
    pub(crate) fn name(&self) -> &'static str {
        self.any_of.first().copied().unwrap_or_default()
    }

    pub(crate) fn is_met(&self, rights: &Rights) -> bool {
        self.any_of.iter().any(|name| rights.roles.iter().any(|held| held == name))
    }
}

impl Rights {
    /// The service principal holds a role that may act on administrators.
    pub(crate) fn may_act_on_admins(&self) -> bool {
        let enough = [PRIVILEGED_AUTHENTICATION_ADMINISTRATOR, GLOBAL_ADMINISTRATOR];
        self.wids.iter().any(|held| enough.contains(&held.as_str()))
    }
}
