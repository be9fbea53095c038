package provider

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// accessTag is where a disk or a snapshot keeps who may read or write it by a signature, hidden from clients.
const accessTag = "drydockAccess"

// access lets somebody read, or write, what a disk or a snapshot holds, for a time, by whoever knows the signature. The twin's leads nowhere: its disks
// hold nothing.
func access() map[string]resource.Action {
	return map[string]resource.Action{
		"begingetaccess": {Check: checkAccess, Then: grantAccess, Result: accessResult},
		"endgetaccess": {Then: func(tx *resource.Tx, id arm.ID, _ map[string]any) *arm.Error {
			revoke(tx, id)
			return nil
		}},
	}
}

// maxAccess is how long a signature may be good: 60 days (learn.microsoft.com, "Download a Linux VHD from Azure").
const maxAccess = 60 * 24 * time.Hour

func checkAccess(tx *resource.Tx, id arm.ID, args map[string]any) *arm.Error {
	body := tx.Get(id).Body()
	seconds, ok := arm.Number(arm.At(args, "durationInSeconds"))
	write := strings.EqualFold(arm.Text(args, "access"), "Write")
	was := arm.Text(body, "properties", "diskState")
	switch {
	case !ok || seconds <= 0 || seconds > maxAccess.Seconds():
		return invalidParameter("durationInSeconds")
	case !write && !strings.EqualFold(arm.Text(args, "access"), "Read"):
		return invalidParameter("access")
	case was == "Attached": // microsoft/AzureStorageExplorer#6654
		return arm.Errorf(http.StatusConflict, "Conflict", "Access not permitted because disk %s is currently attached to running VM %s.", id.Name(), arm.Text(body, "managedBy"))
	case write && was != "ReadyToUpload" && was != "ActiveUpload": // in the twin's words: no recording is at hand
		return arm.Errorf(http.StatusConflict, "OperationNotAllowed", "Write access to '%s' is not allowed: it was not created with the option Upload.", id.Name())
	}
	return nil
}

func grantAccess(tx *resource.Tx, id arm.ID, args map[string]any) *arm.Error {
	if bad := checkAccess(tx, id, args); bad != nil { // it was attached meanwhile
		return bad
	}
	body := tx.Get(id).Body()
	state := "ActiveSAS"
	if strings.EqualFold(arm.Text(args, "access"), "Write") {
		state = "ActiveUpload"
	}
	seconds, _ := arm.Number(arm.At(args, "durationInSeconds"))
	wait := time.Duration(seconds) * time.Second
	turn, _ := arm.Number(arm.At(body, accessTag, "turn"))
	turn++
	tx.Edit(id, func(b map[string]any) {
		b[accessTag] = map[string]any{"turn": turn, "state": state, "until": arm.Timestamp(tx.Now().Add(wait))}
		arm.Object(b, "properties")["diskState"] = state
	})
	expire(tx, id, turn, wait)
	return nil
}

// expire takes a signature back after a time, unless there is another one by then.
func expire(tx *resource.Tx, id arm.ID, turn float64, wait time.Duration) {
	tx.After(id.Subscription, wait, func(tx *resource.Tx) {
		if d := tx.Get(id); d != nil {
			if now, _ := arm.Number(arm.At(d.Body(), accessTag, "turn")); now == turn {
				revoke(tx, id)
			}
		}
	})
}

// saveAccess and resumeAccess keep how long a signature is still good, for another process.
func saveAccess(v resource.View, id arm.ID) any {
	body := v.Get(id).Body()
	until, err := time.Parse(time.RFC3339Nano, arm.Text(body, accessTag, "until"))
	if arm.Text(body, accessTag, "state") == "" || err != nil {
		return nil
	}
	return until.Sub(v.Now())
}

func resumeAccess(tx *resource.Tx, id arm.ID, saved json.RawMessage) *arm.Error {
	var left time.Duration
	if err := json.Unmarshal(saved, &left); err != nil || tx.Get(id) == nil {
		return arm.Errorf(http.StatusBadRequest, "InvalidParameter", "how long a signature for '%s' is good: %s", id.Name(), saved)
	}
	turn, _ := arm.Number(arm.At(tx.Get(id).Body(), accessTag, "turn"))
	tx.Edit(id, func(b map[string]any) {
		given, _ := b[accessTag].(map[string]any)
		b[accessTag] = map[string]any{"turn": turn, "state": given["state"], "until": arm.Timestamp(tx.Now().Add(left))}
	})
	expire(tx, id, turn, max(left, 0))
	return nil
}

func invalidParameter(name string) *arm.Error {
	e := arm.Errorf(http.StatusBadRequest, "InvalidParameter", "The value of parameter %s is invalid.", name)
	e.Target = name
	return e
}

// revoke takes the signature back; what was written to is a disk like others then.
func revoke(tx *resource.Tx, id arm.ID) {
	tx.Edit(id, func(b map[string]any) {
		given, _ := b[accessTag].(map[string]any)
		if arm.Text(given, "state") == "" {
			return
		}
		b[accessTag] = map[string]any{"turn": given["turn"]} // another one: what is hidden in a document is read by others
		p := arm.Object(b, "properties")
		if p["diskState"] = "Unattached"; arm.Text(b, "managedBy") != "" {
			p["diskState"] = "Reserved" // its machine is off: of one that runs nobody gets a signature
		}
	})
}

// accessResult has the signature: a secret, made of its disk and of how often there was one, and kept nowhere.
func accessResult(v resource.View, id arm.ID) map[string]any {
	d := v.Get(id)
	if d == nil {
		return nil
	}
	turn, _ := arm.Number(arm.At(d.Body(), accessTag, "turn"))
	unique := strings.ReplaceAll(arm.Derived("access", id.String(), strconv.Itoa(int(turn))), "-", "")
	return map[string]any{"accessSAS": "https://md-" + unique[:12] + ".z6.blob.storage.azure.net/" + unique[12:24] + "/abcd?sv=2018-03-28&sr=b&si=" +
		arm.Derived("policy", id.String(), unique) + "&sig=" + secret("access", id.String(), unique)}
}

// accessed is the error for what cannot be done with a disk while a signature for it is good.
func accessed(id arm.ID, body map[string]any) *arm.Error {
	if arm.Text(body, "properties", "diskState") != "ActiveSAS" && arm.Text(body, "properties", "diskState") != "ActiveUpload" {
		return nil
	}
	return arm.Errorf(http.StatusConflict, "OperationNotAllowed", "There is an active shared access signature outstanding for disk %s. Call EndGetAccess before attaching or deleting this disk. Learn more here: aka.ms/revokeaccessapi.", id.Name())
}

// fillSnapshot takes from the disk a snapshot is of what it has of it.
func fillSnapshot(tx *resource.Tx, id arm.ID, body, old map[string]any) {
	p := arm.Object(body, "properties")
	source, ok := arm.ParseID(arm.Text(p, "creationData", "sourceResourceId"))
	if d := tx.Get(source); ok && d != nil {
		for _, same := range []string{"osType", "diskSizeGB", "hyperVGeneration"} {
			if x := arm.At(d.Body(), "properties", same); x != nil && p[same] == nil {
				p[same] = x
			}
		}
		if creation := arm.Object(p, "creationData"); creation["sourceUniqueId"] == nil {
			creation["sourceUniqueId"] = arm.At(d.Body(), "properties", "uniqueId")
		}
	}
	if old == nil {
		p["timeCreated"], p["uniqueId"], p["diskState"] = arm.Timestamp(tx.Now()), arm.Derived("snapshot", id.String(), arm.Timestamp(tx.Now())), "Unattached"
		return
	}
	if given := old[accessTag]; given != nil {
		body[accessTag] = given
	}
}

func heldSnapshot(tx *resource.Tx, id arm.ID) *arm.Error { return accessed(id, tx.Get(id).Body()) }
