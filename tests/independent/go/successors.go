package main

import (
	"crypto/ed25519"
	"fmt"
	"strings"
)

// known gives the verifier keys of a name that count.
func (p *policy) known(name string) []*vkey {
	found := append([]*vkey{}, p.logs[name]...)
	for _, keys := range p.witnesses {
		for _, key := range keys {
			if key.name == name {
				found = append(found, key)
			}
		}
	}
	for _, each := range p.cards {
		if each.key.name == name && each.role != "log" {
			found = append(found, each.key)
		}
	}
	return found
}

// learn lets a key count that took over: beside the one of a card or a policy that it replaces.
func (p *policy) learn(node string, use int, key *vkey) {
	if use == useLog {
		p.logs[key.name] = append(p.logs[key.name], key)
	} else {
		for label, keys := range p.witnesses {
			if keys[0].name == key.name {
				p.witnesses[label] = append(keys, key)
			}
		}
	}
	if len(p.cards) > 0 {
		p.cards = append(p.cards, cardKey{role: useNames[use], key: key, node: node})
	}
	p.verify(key)
}

// copied is a policy that may learn more, and leaves this one as it is.
func (p *policy) copied() *policy {
	other := newPolicy()
	for name, keys := range p.logs {
		other.logs[name] = append([]*vkey{}, keys...)
	}
	for label, keys := range p.witnesses {
		other.witnesses[label] = append([]*vkey{}, keys...)
	}
	for name, each := range p.groups {
		other.groups[name] = each
	}
	for name := range p.named {
		other.named[name] = true
	}
	other.quorum = p.quorum
	other.cards = append(other.cards, p.cards...)
	other.verifiers = append(other.verifiers, p.verifiers...)
	return other
}

// byNewer says whether a checkpoint holds by keys that took over from known ones.
func (p *policy) byNewer(data []byte) bool {
	if p.newer == nil {
		return false
	}
	head, err := readCheckpoint(data, p.newer)
	return err == nil && head.signed && head.quorate
}

// idOf is the id of a verifier key in an announcement.
func idOf(key *vkey) string { return fmt.Sprintf("%s+%08x", key.name, key.hash) }

// proves says whether a key signed that an announced one takes over; both of them do.
func proves(key *vkey, sig []byte, federation, node string, told announced) bool {
	if key.key == nil || len(sig) != ed25519.SignatureSize {
		return false
	}
	parts := []string{"exchange-key-possession/v1", federation, node, useNames[told.use], told.keyid, told.replaces, ""}
	return ed25519.Verify(key.key, []byte(strings.Join(parts, "\n")), sig)
}

// learnNotes follows the keys of logs and cosigners from those that are known, in order of announcement:
//
//	1 the key is one, of the node that announces it, and its holder has it
//	2 the key that it replaces named it; or it is the first of a log that nobody knew, or the other side's officer
//	  confirmed it, and the region itself says so
//
// Where the region does not speak, for want of its roots, nothing is learned: then it is told what took over.
func learnNotes(known *policy, tellings []*telling, ring *keyring) []string {
	known.newer = known.copied()
	var rotated []string
	for _, each := range tellings {
		for _, told := range each.keys {
			key, err := parseVkey(told.vkey)
			if err != nil || useNames[told.use] == "" || key.key == nil || idOf(key) != told.keyid || ownerOf(key.name) != each.owner {
				continue
			}
			federation := strings.TrimPrefix(strings.SplitN(key.name, "/", 2)[0], each.owner+".")
			for _, to := range []*policy{known, known.newer} {
				before := to.known(key.name)
				seen, endorsed := false, false
				for _, one := range before {
					seen = seen || idOf(one) == told.keyid
					endorsed = endorsed || (idOf(one) == told.replaces && proves(one, told.endorsement, federation, each.owner, told))
				}
				inTurn := endorsed && proves(key, told.possession, federation, each.owner, told)
				first := len(before) == 0 && key.name == each.origin
				spoken := each.counts && (inTurn || first || ring.accepted[each.owner][told.keyid])
				if seen || !(spoken || (to == known.newer && inTurn)) {
					continue
				}
				to.learn(each.owner, told.use, key)
				if to == known.newer && !spoken {
					rotated = append(rotated, told.replaces+" -> "+told.keyid)
				}
			}
		}
	}
	return rotated
}
