package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

var errNoChain = errors.New("no chain to a root that is named")

const payloadType = "application/vnd.env-exchange.statement.v1+protobuf"

// pae is DSSE's pre-authentication encoding: what is signed.
func pae(kind string, payload []byte) []byte {
	return append([]byte(fmt.Sprintf("DSSEv1 %d %s %d ", len(kind), kind, len(payload))), payload...)
}

// A signing key of a region, as it announced it, with the instant of the announcement.
type signingKey struct {
	announced
	leaf  *x509.Certificate
	above *x509.CertPool
	at    time.Time
}

// Keys of regions: node, key id, announcements.
type keyring struct {
	lock  sync.Mutex
	keys  map[string]map[string]*signingKey
	chain map[string]error // what became of a chain, by key id and day
}

func (k *keyring) learn(node string, told announced, at time.Time) {
	if len(told.chain) == 0 || told.state == stateAborted {
		return
	}
	leaf, err := x509.ParseCertificate(told.chain[0])
	if err != nil {
		return // an algorithm that is not known here
	}
	spki := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	keyid := hex.EncodeToString(spki[:])
	above := x509.NewCertPool()
	for _, der := range told.chain[1:] {
		if issuer, err := x509.ParseCertificate(der); err == nil {
			above.AddCert(issuer)
		}
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.keys[node] == nil {
		k.keys[node] = map[string]*signingKey{}
	}
	known := k.keys[node][keyid]
	if known != nil && known.at.After(at) {
		if known.revokedAt.IsZero() {
			known.revokedAt = told.revokedAt
		}
		return
	}
	fresh := &signingKey{announced: told, leaf: leaf, above: above, at: at}
	if known != nil && fresh.revokedAt.IsZero() {
		fresh.revokedAt = known.revokedAt
	}
	k.keys[node][keyid] = fresh
}

// holds says whether the key's chain led to a root of its region at an instant.
func (k *keyring) holds(key *signingKey, keyid string, roots *x509.CertPool, at time.Time) error {
	if roots == nil {
		return errNoChain
	}
	memo := keyid + at.Format(" 2006-01-02T15")
	k.lock.Lock()
	known, seen := k.chain[memo]
	k.lock.Unlock()
	if seen {
		return known
	}
	_, err := key.leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: key.above, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	k.lock.Lock()
	k.chain[memo] = err
	k.lock.Unlock()
	return err
}

// matches says whether a body is the one that a statement commits to; digests of other algorithms than SHA-256 are passed over.
func matches(one *entry, b body) bool {
	sum := sha256.Sum256(append(append([]byte{}, b.salt...), b.record...))
	known := false
	for _, each := range one.commitments {
		if each.algorithm != "SHA-256" {
			continue
		}
		if !bytes.Equal(each.digest, sum[:]) {
			return false
		}
		known = true
	}
	return known && len(b.salt) == 32 && int64(len(b.record)) == one.bodySize
}

// What became of the statements of one log.
type signedCount struct {
	lock              sync.Mutex
	good, unverified  int64
	bodies, withdrawn int64
}

// learnKeys reads the announcements of one log; only what its owner announces of itself counts.
func learnKeys(folder string, w *walked, ring *keyring, r *report) {
	w.eachEntry(folder, r, func(_ int64, data []byte, b body, _ string) {
		one, err := readEntry(data)
		if err != nil || one.kind != kindKeyAnnouncement || !matches(one, b) {
			return
		}
		keys, err := announcements(b.record)
		if err != nil {
			return
		}
		for _, key := range keys {
			ring.learn(one.origin, key, one.loggedAt)
		}
	})
}

// checkStatements checks each entry of one log:
//
//	1 it is a log entry with an envelope of our type, stated by the region whose log it is
//	2 its body, where it is here, is what the statement commits to; where it is not, absent.tsv says why
//	3 an ES256 signature of an announced key of that region verifies over the pre-authentication encoding
//	4 that key's certificate led to a root of the region at the logged time, within its announced time of use
//	5 logged time is not later than mirrored time and five minutes; what was revoked, was mirrored before
func checkStatements(folder string, w *walked, ring *keyring, roots map[string]*x509.CertPool, r *report) *signedCount {
	count := &signedCount{}
	owner := ownerOf(w.log.Origin)
	w.eachEntry(folder, r, func(index int64, data []byte, b body, reason string) {
		bundle := w.room + "/tile/entries"
		one, err := readEntry(data)
		// 1
		if err != nil || one.payloadType != payloadType {
			w.find(r, 4, index, bundle, "ENTRY_UNREADABLE", "no log entry with an envelope of the known type")
			return
		}
		if one.origin != owner {
			w.find(r, 4, index, bundle, "WRONG_ORIGIN", "stated by "+one.origin)
			return
		}
		// 2
		if b.record != nil {
			if !matches(one, b) {
				w.find(r, 1, index, w.room+"/bodies", "BODY_MISMATCH", "salt and body do not hash to the commitment of "+one.recordID)
			}
			count.lock.Lock()
			count.bodies++
			count.lock.Unlock()
		} else if reason == "" {
			w.find(r, 2, index, w.room+"/bodies", "BODY_MISSING", one.recordID+" has no body here, and nothing says why")
		} else {
			count.lock.Lock()
			count.withdrawn++
			count.lock.Unlock()
		}
		// 3
		message := sha256.Sum256(pae(one.payloadType, one.payload))
		var by *signingKey
		var keyid string
		for _, each := range one.signatures {
			key := ring.keys[owner][each.keyid]
			if key == nil {
				continue
			}
			public, ok := key.leaf.PublicKey.(*ecdsa.PublicKey)
			if !ok || public.Curve != elliptic.P256() {
				continue
			}
			if !ecdsa.VerifyASN1(public, message[:], each.sig) {
				w.find(r, 4, index, bundle, "UNTRUSTED_SIGNATURE", "the signature by "+each.keyid[:16]+" does not verify")
				return
			}
			by, keyid = key, each.keyid
		}
		if by == nil {
			w.find(r, 4, index, bundle, "KEY_UNKNOWN", "no ES256 signature by a key that the region announced")
			return
		}
		// 4
		if roots[owner] == nil {
			count.lock.Lock()
			count.unverified++
			count.lock.Unlock()
			return
		}
		if err := ring.holds(by, keyid, roots[owner], one.loggedAt); err != nil {
			w.find(r, 5, index, bundle, "UNTRUSTED_SIGNATURE", err.Error())
			return
		}
		if one.loggedAt.Before(by.validFrom) || (!by.validUntil.IsZero() && !one.loggedAt.Before(by.validUntil)) {
			w.find(r, 5, index, bundle, "UNTRUSTED_SIGNATURE", "logged outside the time of use that was announced of the key")
			return
		}
		// 5
		if mirrored, ok := w.mirroredAt(index); ok {
			if one.loggedAt.After(mirrored.Add(5 * time.Minute)) {
				w.find(r, 5, index, bundle, "UNPROVEN_TIME", "logged later than it was mirrored")
				return
			}
			if !by.revokedAt.IsZero() && !mirrored.Before(by.revokedAt) {
				w.find(r, 5, index, bundle, "UNPROVEN_TIME", "mirrored when the key was revoked already")
				return
			}
		}
		count.lock.Lock()
		count.good++
		count.lock.Unlock()
	})
	return count
}
