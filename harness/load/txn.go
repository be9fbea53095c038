package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/etcd"
)

// Txn is one transaction, asked for once.
type Txn struct {
	If   []Condition `yaml:"if"`
	Then []TxnOp     `yaml:"then"` // what is done where all conditions hold; where they do not, nothing is, and that is an error
}

// Condition holds where keys are there.
type Condition struct {
	Exist string `yaml:"exist"` // all keys that begin so, of which there is one
	Times int    `yaml:"times"` // it is asked so many times; 0: once. Each takes time
}

// TxnOp is one operation of a transaction.
type TxnOp struct {
	Put      string `yaml:"put"`      // a key
	Value    string `yaml:"value"`    // that is put; empty: the key
	Get      string `yaml:"get"`      // a key
	Delete   string `yaml:"delete"`   // a key
	Revision int64  `yaml:"revision"` // that is read at; 0: the newest
}

// maxOps is how many conditions or operations a transaction may have by etcd's own limit (--max-txn-ops).
const maxOps = 128

func (t *Txn) validate() error {
	asked := 0
	for _, c := range t.If {
		if err := checkKey("txn: if: exist", c.Exist); err != nil {
			return err
		}
		if c.Times < 0 {
			return fmt.Errorf("txn: if: times is %d; it cannot be negative", c.Times)
		}
		asked += max(1, c.Times)
	}
	if asked > maxOps || len(t.Then) > maxOps {
		return fmt.Errorf("txn: %d conditions, %d operations; etcd takes %d of each", asked, len(t.Then), maxOps)
	}
	if len(t.Then) == 0 {
		return errors.New("txn: then is empty: it would do nothing")
	}
	for _, op := range t.Then {
		if err := op.validate(); err != nil {
			return fmt.Errorf("txn: then: %w", err)
		}
	}
	return nil
}

func (op TxnOp) validate() error {
	keys := slices.DeleteFunc([]string{op.Put, op.Get, op.Delete}, func(k string) bool { return k == "" })
	switch {
	case len(keys) != 1:
		return errors.New("want one of put, get and delete")
	case op.Value != "" && op.Put == "":
		return errors.New("value belongs to put")
	case op.Revision != 0 && op.Get == "":
		return errors.New("revision belongs to get")
	case op.Revision < 0:
		return fmt.Errorf("revision is %d; it cannot be negative", op.Revision)
	}
	return checkKey("a key", keys[0])
}

// String is the transaction in a plan.
func (t *Txn) String() string {
	var conditions, ops []string
	for _, c := range t.If {
		conditions = append(conditions, fmt.Sprintf("%s* exist, asked %d times", c.Exist, max(1, c.Times)))
	}
	for _, op := range t.Then {
		ops = append(ops, op.String())
	}
	out := "a transaction: " + strings.Join(ops, ", ")
	if len(conditions) > 0 {
		out += "; if " + strings.Join(conditions, " and ")
	}
	return out
}

// String is the operation in a plan.
func (op TxnOp) String() string {
	switch {
	case op.Put != "":
		return "put " + op.Put
	case op.Delete != "":
		return "delete " + op.Delete
	case op.Revision > 0:
		return fmt.Sprintf("get %s at revision %d", op.Get, op.Revision)
	default:
		return "get " + op.Get
	}
}

func (op TxnOp) op() clientv3.Op {
	switch {
	case op.Put != "" && op.Value == "":
		return clientv3.OpPut(scriptPrefix+op.Put, op.Put)
	case op.Put != "":
		return clientv3.OpPut(scriptPrefix+op.Put, op.Value)
	case op.Delete != "":
		return clientv3.OpDelete(scriptPrefix + op.Delete)
	default:
		return clientv3.OpGet(scriptPrefix+op.Get, clientv3.WithRev(op.Revision))
	}
}

// errNotSucceeded is a transaction whose conditions did not hold.
var errNotSucceeded = errors.New("its conditions did not hold")

// send asks once: a transaction that is repeated may be done twice.
func (t *Txn) send(ctx context.Context, s *script, w who) (string, error) {
	c, err := s.client(ctx, w)
	if err != nil {
		return "", err
	}
	var conditions []clientv3.Cmp
	for _, cond := range t.If {
		key := scriptPrefix + cond.Exist
		for range max(1, cond.Times) {
			conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(key), ">", 0).WithPrefix())
		}
	}
	var ops []clientv3.Op
	for _, op := range t.Then {
		ops = append(ops, op.op())
	}
	resp, err := c.Txn(ctx).If(conditions...).Then(ops...).Commit()
	if err != nil {
		for _, op := range t.Then {
			if op.Delete != "" && !etcd.Refused(err) {
				s.unheard(scriptPrefix + op.Delete)
			}
		}
		return "", err
	}
	saw := fmt.Sprintf("acknowledged at revision %d", resp.Header.Revision)
	if !resp.Succeeded {
		return saw, errNotSucceeded
	}
	for i, op := range t.Then {
		if op.Put != "" {
			s.changed(Event{Revision: resp.Header.Revision, Key: scriptPrefix + op.Put})
		}
		if op.Delete != "" && resp.Responses[i].GetResponseDeleteRange().GetDeleted() > 0 {
			s.changed(Event{Revision: resp.Header.Revision, Key: scriptPrefix + op.Delete, Deleted: true})
		}
	}
	return saw, nil
}
