package load

import (
	"context"
	"errors"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/observe"
)

// Auth has etcd ask for names and passwords, or no longer. While it does, nobody else is answered. Drydock's own are (AsRoot).
type Auth struct {
	Enable  string `yaml:"enable"`  // a user is made, who may read and write the keys of traffic, and the user root
	Disable bool   `yaml:"disable"` // by root
}

// rootUser is whom etcd wants before it asks for anybody's name. Users of traffic have their names for passwords: nothing is kept from anybody here.
const rootUser = "root"

func (a *Auth) validate() error {
	switch {
	case a.Disable == (a.Enable != ""):
		return errors.New("auth: want one of enable and disable")
	case a.Enable == rootUser:
		return fmt.Errorf("auth: enable is %s, who may do everything and is made besides: name another user", rootUser)
	case strings.ContainsAny(a.Enable, ": \t\r\n"):
		return fmt.Errorf("auth: enable is %q; a user's name has no spaces and no colon", a.Enable)
	}
	return nil
}

// String is the entry in a plan.
func (a *Auth) String() string {
	if a.Disable {
		return "authentication disabled"
	}
	return fmt.Sprintf("authentication enabled, with a user %s", a.Enable)
}

// Enables reports whether etcd asks for names after the entry.
func (t Traffic) Enables() bool { return t.Auth != nil && t.Auth.Enable != "" }

// AsRoot has whoever reads the target, or is a client of it, be the user that the script makes before etcd asks for names: the observer, probes and recorded
// clients go on while it does, and what they see is etcd's. Where it does not ask, a name makes no difference to it.
func AsRoot(ctx context.Context, t *observe.Target) (err error) {
	if err := t.Members.Close(); err != nil {
		return fmt.Errorf("watch etcd as %s: %w", rootUser, err)
	}
	t.Etcd = t.Etcd.As(rootUser, rootUser)
	t.Members, err = t.Etcd.Watch(ctx)
	return err
}

func (a *Auth) send(ctx context.Context, s *script, w who) (string, error) {
	if a.Disable {
		return "", s.disableAuth(ctx)
	}
	c, err := s.client(ctx, w)
	if err != nil {
		return "", err
	}
	for _, user := range []string{rootUser, a.Enable} {
		if _, err := c.UserAdd(ctx, user, user); err != nil {
			return "", fmt.Errorf("user %s: %w", user, err)
		}
		if _, err := c.RoleAdd(ctx, user); err != nil {
			return "", fmt.Errorf("role %s: %w", user, err)
		}
		if _, err := c.UserGrantRole(ctx, user, user); err != nil {
			return "", fmt.Errorf("role of %s: %w", user, err)
		}
	}
	all := clientv3.PermissionType(clientv3.PermReadWrite)
	if _, err := c.RoleGrantPermission(ctx, a.Enable, scriptPrefix, clientv3.GetPrefixRangeEnd(scriptPrefix), all); err != nil {
		return "", fmt.Errorf("permission of %s: %w", a.Enable, err)
	}
	s.authEnabled(true) // also where the answer is lost
	_, err = c.AuthEnable(ctx)
	return "", err
}

func (s *script) authEnabled(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth = is
}

func (s *script) disableAuth(ctx context.Context) error {
	c, err := s.client(ctx, who{user: rootUser})
	if err != nil {
		return err
	}
	if _, err := c.AuthDisable(ctx); err != nil {
		return fmt.Errorf("disable authentication: %w", err)
	}
	s.authEnabled(false)
	return nil
}

// Reopen has etcd answer everybody again where the script was ended between enabling authentication and disabling it: nobody else knows the password.
func (l *Load) Reopen(ctx context.Context) error {
	if l.script == nil {
		return nil
	}
	l.script.mu.Lock()
	closed := l.script.auth
	l.script.mu.Unlock()
	if !closed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, trafficWithin)
	defer cancel()
	return l.script.disableAuth(ctx)
}
