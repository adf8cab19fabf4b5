package main

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// An entry whose key may have been somebody else's when it signed, or which claims a time that it can not have.
type doubt struct {
	w       *walked
	index   int64
	payload [32]byte
	kind    int
	logged  time.Time
	judged  judged
}

// Doubtful entries of all logs, by their node, until everything that may lift them is known.
type doubts struct {
	lock sync.Mutex
	of   map[string][]doubt
}

func (d *doubts) add(node string, w *walked, index int64, one *entry, found judged) {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.of[node] = append(d.of[node], doubt{w, index, sha256.Sum256(one.payload), one.kind, one.loggedAt, found})
}

// settle tells what stays in doubt:
//
//	1 the same statement stands in a log of its node in a sound envelope: confirmed
//	2 it announces keys, and for each of them something else speaks: a sound announcement, the other side, a card or policy
//	3 what claims a time behind its own mirroring is dated falsely
//	4 what was logged when its region had told of the key's end was signed by somebody else
//	5 of the rest only its region can say whether it is its own
func (d *doubts) settle(folder string, logs []*walked, known *policy, ring *keyring, tellings []*telling, r *report) []string {
	var missing []string
	for node, open := range d.of {
		sought, places := map[[32]byte]bool{}, map[string]bool{}
		for _, each := range open {
			sought[each.payload] = true
			places[fmt.Sprint(each.w.log.Origin, "#", each.index)] = true
		}
		confirmed := again(folder, logs, node, sought, ring)
		named, vouched := map[string][]announced{}, map[string]bool{}
		for _, each := range tellings {
			place := fmt.Sprint(each.origin, "#", each.index)
			if each.owner != node || !each.counts {
				continue
			}
			named[place] = each.keys
			for _, key := range each.keys {
				vouched[key.keyid] = vouched[key.keyid] || !places[place]
			}
		}
		for _, each := range open {
			place := fmt.Sprint(each.w.log.Origin, "#", each.index)
			bundle := each.w.room + "/tile/entries"
			told, isTold := ring.told[node+" "+each.judged.keyid]
			switch {
			case confirmed[each.payload], each.kind == kindKeyAnnouncement && allVouched(named[place], vouched, node, known, ring):
			case each.judged.ahead:
				each.w.find(r, 5, each.index, bundle, "UNPROVEN_TIME", "logged later than it was mirrored")
			case isTold && !each.logged.Before(told):
				each.w.find(r, 5, each.index, bundle, "KEY_REVOKED_BEFORE", "signed by a key of whose end its region had told")
			case len(missing) < mostShown:
				missing = append(missing, "the region's confirmation of "+place+": its key was revoked before the other side held it")
			}
		}
	}
	return missing
}

// again finds the statements that stand in the logs of a node with nothing against them.
func again(folder string, logs []*walked, node string, sought map[[32]byte]bool, ring *keyring) map[[32]byte]bool {
	found := map[[32]byte]bool{}
	var lock sync.Mutex
	for _, w := range logs {
		if w.head == nil || w.log.Use == "journal" || ownerOf(w.log.Origin) != node {
			continue
		}
		w.eachEntry(folder, nil, func(index int64, data []byte, _ body, _ string) {
			one, err := readEntry(data)
			if err != nil || one.origin != node || one.payloadType != payloadType {
				return
			}
			payload := sha256.Sum256(one.payload)
			if _, held := w.mirroredAt(index); !held || !sought[payload] || ring.judge(w, one, index).outcome != sound {
				return
			}
			lock.Lock()
			found[payload] = true
			lock.Unlock()
		})
	}
	return found
}

func allVouched(keys []announced, vouched map[string]bool, node string, known *policy, ring *keyring) bool {
	for _, key := range keys {
		ok := vouched[key.keyid] || ring.accepted[node][key.keyid]
		if verifier, err := parseVkey(key.vkey); err == nil && known != nil {
			for _, each := range known.known(verifier.name) {
				ok = ok || idOf(each) == key.keyid
			}
		}
		if !ok {
			return false
		}
	}
	return len(keys) > 0
}
