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
	"sort"
	"sync"
	"time"
)

var errNoChain = errors.New("no chain to a root that is named")

const (
	payloadType = "application/vnd.env-exchange.statement.v1+protobuf"
	mostAhead   = 5 * time.Minute // how far the clocks of owner and mirror may lie apart
	mostShown   = 100             // places of one sort that are named one by one
	mostRounds  = 64              // keys told out of turn, one behind the other, that are followed
)

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
	print string // of the certificate
}

// What became of a chain: why it does not hold, and when something in it was revoked by a list.
type chainFate struct {
	err         error
	revoked     time.Time
	authorities []*x509.Certificate
}

// Keys of regions: node, key id, announcements; and what was said of them.
type keyring struct {
	lock     sync.Mutex
	roots    map[string]*x509.CertPool
	keys     map[string]map[string]*signingKey
	chain    map[string]chainFate            // by certificate and hour
	lists    []*x509.RevocationList          // of whomever; they count for the authority that signed them
	accepted map[string]map[string]bool      // ids of keys of a node that the other side relies on
	told     map[string]time.Time            // when a region told of the end of a key, by node and key id
	lone     map[string]bool                 // ids of keys that nothing but their certificate speaks for
	used     map[string]map[string]time.Time // when the last entry under a key was mirrored
}

func newKeyring(roots map[string]*x509.CertPool, lists []*x509.RevocationList) *keyring {
	return &keyring{
		roots: roots, lists: lists, keys: map[string]map[string]*signingKey{}, chain: map[string]chainFate{},
		accepted: map[string]map[string]bool{}, told: map[string]time.Time{}, lone: map[string]bool{},
		used: map[string]map[string]time.Time{},
	}
}

// read takes a signing certificate out of an announcement; nil for an algorithm that is not known here.
func read(told announced, at time.Time) (string, *signingKey) {
	if told.use != useSigning || len(told.chain) == 0 || told.state == stateAborted {
		return "", nil
	}
	leaf, err := x509.ParseCertificate(told.chain[0])
	if err != nil {
		return "", nil
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || public.Curve != elliptic.P256() {
		return "", nil
	}
	spki := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	above := x509.NewCertPool()
	for _, der := range told.chain[1:] {
		if issuer, err := x509.ParseCertificate(der); err == nil {
			above.AddCert(issuer)
		}
	}
	sum := sha256.Sum256(leaf.Raw)
	return hex.EncodeToString(spki[:]), &signingKey{announced: told, leaf: leaf, above: above, at: at, print: string(sum[:])}
}

// learn keeps what is announced of a key: the newest word counts, and of several ends the earliest.
func (k *keyring) learn(node, keyid string, fresh *signingKey) {
	if k.keys[node] == nil {
		k.keys[node] = map[string]*signingKey{}
	}
	known := k.keys[node][keyid]
	if known != nil {
		ends := []time.Time{known.revokedAt, fresh.revokedAt}
		if known.at.After(fresh.at) {
			fresh = known
		}
		for _, end := range ends {
			if !end.IsZero() && (fresh.revokedAt.IsZero() || end.Before(fresh.revokedAt)) {
				fresh.revokedAt = end
			}
		}
	}
	k.keys[node][keyid] = fresh
}

// fate says whether the key's chain led to a root of its region at an instant, and whether a list revokes it. One chain
// without a revoked certificate is enough.
func (k *keyring) fate(key *signingKey, node string, at time.Time) chainFate {
	roots := k.roots[node]
	if roots == nil {
		return chainFate{err: errNoChain}
	}
	memo := node + key.print + at.Format(" 2006-01-02T15")
	k.lock.Lock()
	known, seen := k.chain[memo]
	k.lock.Unlock()
	if seen {
		return known
	}
	chains, err := key.leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: key.above, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	found := chainFate{err: err}
	for i, path := range chains {
		revoked := k.revoked(path)
		if i == 0 || (!found.revoked.IsZero() && (revoked.IsZero() || revoked.After(found.revoked))) {
			found.revoked, found.authorities = revoked, path[1:]
		}
	}
	k.lock.Lock()
	k.chain[memo] = found
	k.lock.Unlock()
	return found
}

// leads is the fate of a key's chain while its certificate was valid.
func (k *keyring) leads(key *signingKey, node string) chainFate {
	found := k.fate(key, node, key.leaf.NotBefore)
	if found.err != nil {
		found = k.fate(key, node, key.leaf.NotAfter)
	}
	return found
}

// revoked is when the first certificate of a path was revoked by a list of its issuer; zero where none was.
func (k *keyring) revoked(path []*x509.Certificate) time.Time {
	var first time.Time
	for i := 0; i+1 < len(path); i++ {
		for _, list := range k.lists {
			if !bytes.Equal(list.RawIssuer, path[i].RawIssuer) || list.CheckSignatureFrom(path[i+1]) != nil {
				continue
			}
			for _, each := range list.RevokedCertificates {
				if each.SerialNumber.Cmp(path[i].SerialNumber) == 0 && (first.IsZero() || each.RevocationTime.Before(first)) {
					first = each.RevocationTime
				}
			}
		}
	}
	return first
}

// listed is when the newest list of an authority was made; zero where there is none.
func (k *keyring) listed(authority *x509.Certificate) time.Time {
	var made time.Time
	for _, list := range k.lists {
		if bytes.Equal(list.RawIssuer, authority.RawSubject) && list.CheckSignatureFrom(authority) == nil && list.ThisUpdate.After(made) {
			made = list.ThisUpdate
		}
	}
	return made
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

// An announcement, or an answer to one.
type telling struct {
	owner    string
	origin   string
	index    int64
	entry    *entry
	keys     []announced
	about    string
	accepted []string
	counts   bool // its region's key signed it
}

// gather reads the announcements and answers of one log; only what its owner says of itself counts.
func gather(folder string, w *walked) []*telling {
	var found []*telling
	var lock sync.Mutex
	w.eachEntry(folder, nil, func(index int64, data []byte, b body, _ string) {
		one, err := readEntry(data)
		if err != nil || b.record == nil || one.origin != ownerOf(w.log.Origin) || one.payloadType != payloadType {
			return
		}
		if (one.kind != kindKeyAnnouncement && one.kind != kindAnswer) || !matches(one, b) {
			return
		}
		told := &telling{owner: one.origin, origin: w.log.Origin, index: index, entry: one}
		if one.kind == kindAnswer {
			told.about, told.accepted = answeredKeys(b.record)
		} else if told.keys, err = announcements(b.record); err != nil {
			return
		}
		lock.Lock()
		found = append(found, told)
		lock.Unlock()
	})
	return found
}

// learnKeys takes announcements and answers in the order of their time, until nothing is new. An announcement counts:
//
//	1 when a key of its region that is known by then signed it, or there was none before
//	2 when a key signed it that came out of turn, leads to a root, and the other side relies on, or no key before it stands
//
// Without a region's roots all of its keys are known, and prove nothing.
func (k *keyring) learnKeys(tellings []*telling) {
	sort.SliceStable(tellings, func(i, j int) bool {
		a, b := tellings[i], tellings[j]
		if !a.entry.loggedAt.Equal(b.entry.loggedAt) {
			return a.entry.loggedAt.Before(b.entry.loggedAt)
		}
		return a.origin < b.origin || (a.origin == b.origin && a.index < b.index)
	})
	for round := 0; round < mostRounds; round++ {
		progress := false
		for _, each := range tellings {
			if each.counts || !k.take(each) {
				continue
			}
			progress = true
		}
		if !progress {
			return
		}
	}
}

func (k *keyring) take(each *telling) bool {
	at, own := each.entry.loggedAt, map[string]*signingKey{}
	for _, told := range each.keys {
		if keyid, key := read(told, at); key != nil && (k.roots[each.owner] == nil || k.leads(key, each.owner).err == nil) {
			own[keyid] = key
		}
	}
	if k.roots[each.owner] == nil {
		for keyid, key := range own {
			k.learn(each.owner, keyid, key)
		}
		return false
	}
	// 1
	by, ok := k.signedBy(each.entry, k.keys[each.owner])
	counts := ok && by != "" && k.inUse(k.keys[each.owner][by], each.owner, at)
	// 2
	if by, ok := k.signedBy(each.entry, own); !counts && ok && by != "" && k.keys[each.owner][by] == nil {
		counts = k.accepted[each.owner][by] || !k.anyStands(each.owner, at)
		k.lone[by] = !counts
	}
	if !counts {
		return false
	}
	each.counts = true
	for keyid, key := range own {
		k.learn(each.owner, keyid, key)
	}
	for _, told := range each.keys {
		name := each.owner + " " + told.keyid
		if known, seen := k.told[name]; !told.revokedAt.IsZero() && (!seen || at.Before(known)) {
			k.told[name] = at
		}
	}
	if each.about != "" && each.about != each.owner {
		if k.accepted[each.about] == nil {
			k.accepted[each.about] = map[string]bool{}
		}
		for _, keyid := range each.accepted {
			k.accepted[each.about][keyid] = true
		}
	}
	return true
}

// signedBy finds the key of a set that signed an entry: none, or not ok where a signature that names one does not verify.
func (k *keyring) signedBy(one *entry, keys map[string]*signingKey) (string, bool) {
	message := sha256.Sum256(pae(one.payloadType, one.payload))
	by := ""
	for _, each := range one.signatures {
		key := keys[each.keyid]
		if key == nil {
			continue
		}
		if !ecdsa.VerifyASN1(key.leaf.PublicKey.(*ecdsa.PublicKey), message[:], each.sig) {
			return each.keyid, false
		}
		by = each.keyid
	}
	return by, true
}

// inUse says whether a key's chain held at an instant that lies in the time of use that was announced of it.
func (k *keyring) inUse(key *signingKey, node string, at time.Time) bool {
	return k.fate(key, node, at).err == nil && !at.Before(key.validFrom) && (key.validUntil.IsZero() || at.Before(key.validUntil))
}

func (k *keyring) anyStands(node string, at time.Time) bool {
	for _, key := range k.keys[node] {
		end := earliest(key.revokedAt, k.fate(key, node, at).revoked)
		if k.inUse(key, node, at) && (end.IsZero() || at.Before(end)) {
			return true
		}
	}
	return false
}

func earliest(one, other time.Time) time.Time {
	if one.IsZero() || (!other.IsZero() && other.Before(one)) {
		return other
	}
	return one
}

// What became of the statements of one log.
type signedCount struct {
	lock              sync.Mutex
	good, unverified  int64
	bodies, withdrawn int64
	unmirrored        int64
	unknown           map[string]int64 // a place of each key that is not known, or of an algorithm that is not
}

// lacking says what would be needed for the signatures by keys that are not known here.
func (c *signedCount) lacking(origin string, ring *keyring) []string {
	var found []string
	for keyid, index := range c.unknown {
		what := "the certificate of the signing key %.16q, or a verifier that knows its algorithm: %s#%d"
		if ring.lone[keyid] {
			what = "the other side's word for the signing key %.16q, which no key before it named: %s#%d"
		}
		found = append(found, fmt.Sprintf(what, keyid, origin, index))
	}
	sort.Strings(found)
	return found
}

// What one envelope came to.
type judged struct {
	outcome int
	claim   int
	code    string
	text    string
	keyid   string
	revoked time.Time
	ahead   bool
}

const (
	sound = iota
	doubtful
	unknown
	rootless
	wrong
)

// judge looks at one envelope:
//
//	1 an ES256 signature of an announced key of that region verifies over the pre-authentication encoding
//	2 that key's certificate led to a root of the region at the logged time, within its announced time of use
//	3 logged time is not later than mirrored time and five minutes; what was revoked, was mirrored before
//
// What 3 finds is in doubt: its region may have stated it again.
func (k *keyring) judge(w *walked, one *entry, index int64) judged {
	owner := ownerOf(w.log.Origin)
	// 1
	keyid, ok := k.signedBy(one, k.keys[owner])
	if !ok {
		return judged{outcome: wrong, claim: 4, code: "UNTRUSTED_SIGNATURE", text: "the signature by " + keyid + " does not verify"}
	}
	if keyid == "" {
		named := ""
		if len(one.signatures) > 0 {
			named = one.signatures[0].keyid
		}
		return judged{outcome: unknown, keyid: named}
	}
	// 2
	if k.roots[owner] == nil {
		return judged{outcome: rootless}
	}
	key := k.keys[owner][keyid]
	fate := k.fate(key, owner, one.loggedAt)
	if fate.err != nil {
		return judged{outcome: wrong, claim: 5, code: "UNTRUSTED_SIGNATURE", text: fate.err.Error()}
	}
	if !k.inUse(key, owner, one.loggedAt) {
		return judged{outcome: wrong, claim: 5, code: "UNTRUSTED_SIGNATURE", text: "logged outside the time of use that was announced of the key"}
	}
	// 3
	found := judged{outcome: sound, keyid: keyid, revoked: earliest(key.revokedAt, fate.revoked)}
	mirrored, held := w.mirroredAt(index)
	found.ahead = held && one.loggedAt.After(mirrored.Add(mostAhead))
	if found.ahead || (!found.revoked.IsZero() && !(held && mirrored.Before(found.revoked))) {
		found.outcome = doubtful
	}
	return found
}

// checkStatements checks each entry of one log:
//
//	1 it is a log entry with an envelope of our type, stated by the region whose log it is
//	2 its body, where it is here, is what the statement commits to; where it is not, absent.tsv says why
//	3 its envelope: judge
func checkStatements(folder string, w *walked, ring *keyring, open *doubts, r *report) *signedCount {
	count := &signedCount{unknown: map[string]int64{}}
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
		if b.record != nil && !matches(one, b) {
			w.find(r, 1, index, w.room+"/bodies", "BODY_MISMATCH", "salt and body do not hash to the commitment of "+one.recordID)
		}
		if b.record == nil && reason == "" {
			w.find(r, 2, index, w.room+"/bodies", "BODY_MISSING", one.recordID+" has no body here, and nothing says why")
		}
		// 3
		found := ring.judge(w, one, index)
		if found.outcome == wrong {
			w.find(r, found.claim, index, bundle, found.code, found.text)
		}
		mirrored, held := w.mirroredAt(index)
		count.lock.Lock()
		defer count.lock.Unlock()
		if b.record != nil {
			count.bodies++
		} else if reason != "" {
			count.withdrawn++
		}
		switch found.outcome {
		case unknown:
			if _, seen := count.unknown[found.keyid]; !seen && len(count.unknown) < mostShown {
				count.unknown[found.keyid] = index
			}
		case rootless:
			count.unverified++
		case doubtful, sound:
			count.good++
			if !held {
				count.unmirrored++
			} else if ring.uses(owner, found.keyid, mirrored); found.outcome == doubtful {
				open.add(owner, w, index, one, found)
			}
		}
	})
	return count
}

func (k *keyring) uses(node, keyid string, at time.Time) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.used[node] == nil {
		k.used[node] = map[string]time.Time{}
	}
	if at.After(k.used[node][keyid]) {
		k.used[node][keyid] = at
	}
}

// unlisted names the authorities above keys that were used, of which no list is younger than the last entry under them.
func (k *keyring) unlisted() []string {
	found := map[string]time.Time{}
	for node, keys := range k.used {
		for keyid, until := range keys {
			for _, authority := range k.leads(k.keys[node][keyid], node).authorities {
				name := fmt.Sprintf("%s's %s", node, authority.Subject)
				if k.listed(authority).Before(until) && until.After(found[name]) {
					found[name] = until
				}
			}
		}
	}
	var names []string
	for name, until := range found {
		names = append(names, fmt.Sprintf("a revocation list (-crl) of %s, made after %s", name, until.Format(time.RFC3339)))
	}
	sort.Strings(names)
	return names
}
