package main

import (
	"encoding/binary"
	"errors"
	"time"
)

// A field of a protobuf message as it lies on the wire: a varint, or bytes.
type field struct {
	number uint64
	varint uint64
	bytes  []byte
}

var errWire = errors.New("not a protobuf message")

// fields reads one message; groups are refused, fixed32 and fixed64 are passed over.
func fields(data []byte) ([]field, error) {
	var found []field
	for len(data) > 0 {
		key, n := binary.Uvarint(data)
		if n <= 0 || key>>3 == 0 {
			return nil, errWire
		}
		data = data[n:]
		switch key & 7 {
		case 0:
			value, n := binary.Uvarint(data)
			if n <= 0 {
				return nil, errWire
			}
			data = data[n:]
			found = append(found, field{number: key >> 3, varint: value})
		case 2:
			size, n := binary.Uvarint(data)
			if n <= 0 || size > uint64(len(data)-n) {
				return nil, errWire
			}
			found = append(found, field{number: key >> 3, bytes: data[n : n+int(size)]})
			data = data[n+int(size):]
		case 1, 5:
			width := 8
			if key&7 == 5 {
				width = 4
			}
			if len(data) < width {
				return nil, errWire
			}
			data = data[width:]
		default:
			return nil, errWire
		}
	}
	return found, nil
}

// instant reads a google.protobuf.Timestamp.
func instant(data []byte) (time.Time, error) {
	read, err := fields(data)
	if err != nil {
		return time.Time{}, err
	}
	var seconds, nanos int64
	for _, f := range read {
		switch f.number {
		case 1:
			seconds = int64(f.varint)
		case 2:
			nanos = int64(f.varint)
		}
	}
	return time.Unix(seconds, nanos).UTC(), nil
}

// What the verifier reads of a LogEntry, its envelope and its statement. Numbers are those of the published schema.
type entry struct {
	loggedAt    time.Time
	payload     []byte
	payloadType string
	signatures  []signature

	federation  string
	origin      string
	recordID    string
	revision    int
	kind        int
	bodySize    int64
	commitments []commitment
}

type signature struct {
	keyid string
	sig   []byte
}

type commitment struct {
	algorithm string
	digest    []byte
}

const (
	kindAnswer          = 6
	kindKeyAnnouncement = 7
)

func readEntry(data []byte) (*entry, error) {
	outer, err := fields(data)
	if err != nil {
		return nil, err
	}
	found := &entry{}
	var envelope []byte
	version := uint64(0)
	for _, f := range outer {
		switch f.number {
		case 1:
			version = f.varint
		case 2:
			envelope = f.bytes
		case 3:
			if found.loggedAt, err = instant(f.bytes); err != nil {
				return nil, err
			}
		}
	}
	if version != 1 || len(envelope) == 0 || found.loggedAt.IsZero() {
		return nil, errors.New("not a log entry of version 1")
	}
	inner, err := fields(envelope)
	if err != nil {
		return nil, err
	}
	for _, f := range inner {
		switch f.number {
		case 1:
			found.payload = f.bytes
		case 2:
			found.payloadType = string(f.bytes)
		case 3:
			parts, err := fields(f.bytes)
			if err != nil {
				return nil, err
			}
			var one signature
			for _, p := range parts {
				switch p.number {
				case 1:
					one.keyid = string(p.bytes)
				case 2:
					one.sig = p.bytes
				}
			}
			found.signatures = append(found.signatures, one)
		}
	}
	statement, err := fields(found.payload)
	if err != nil {
		return nil, err
	}
	for _, f := range statement {
		switch f.number {
		case 1:
			found.federation = string(f.bytes)
		case 2:
			found.origin = string(f.bytes)
		case 4:
			found.recordID = string(f.bytes)
		case 5:
			found.revision = int(f.varint)
		case 6:
			found.kind = int(f.varint)
		case 8:
			found.bodySize = int64(f.varint)
		case 9:
			parts, err := fields(f.bytes)
			if err != nil {
				return nil, err
			}
			var one commitment
			for _, p := range parts {
				switch p.number {
				case 1:
					one.algorithm = string(p.bytes)
				case 2:
					one.digest = p.bytes
				}
			}
			found.commitments = append(found.commitments, one)
		}
	}
	return found, nil
}

// A key as a KeyAnnouncement tells of it: of a certificate, or of a verifier key.
type announced struct {
	use         int
	keyid       string
	vkey        string
	chain       [][]byte
	state       int
	validFrom   time.Time
	validUntil  time.Time
	revokedAt   time.Time
	replaces    string
	possession  []byte
	endorsement []byte
}

const (
	useSigning = 1
	useLog     = 2
	useMirror  = 3
	useWitness = 4

	stateAborted    = 5
	verdictAccepted = 1

	bodyAnswer       = 15
	bodyAnnouncement = 16
)

// useNames are the names of the uses of verifier keys, in what is signed to prove possession, and in cards.
var useNames = map[int]string{useLog: "log", useMirror: "mirror", useWitness: "witness"}

// inner gives a record's body of one kind; nothing for any other record.
func inner(record []byte, number uint64) ([]field, error) {
	outer, err := fields(record)
	if err != nil {
		return nil, err
	}
	for _, f := range outer {
		if f.number == number {
			return fields(f.bytes)
		}
	}
	return nil, nil
}

// announcements reads the keys of a Record that is a KeyAnnouncement; none for any other record.
func announcements(record []byte) ([]announced, error) {
	body, err := inner(record, bodyAnnouncement)
	if err != nil {
		return nil, err
	}
	var found []announced
	for _, k := range body {
		if k.number != 1 {
			continue
		}
		parts, err := fields(k.bytes)
		if err != nil {
			return nil, err
		}
		var one announced
		for _, p := range parts {
			switch p.number {
			case 1:
				one.use = int(p.varint)
			case 2:
				one.keyid = string(p.bytes)
			case 3:
				one.vkey = string(p.bytes)
			case 4:
				one.chain = append(one.chain, p.bytes)
			case 5:
				one.state = int(p.varint)
			case 6:
				one.validFrom, err = instant(p.bytes)
			case 7:
				one.validUntil, err = instant(p.bytes)
			case 8:
				one.replaces = string(p.bytes)
			case 9:
				one.possession = p.bytes
			case 10:
				one.endorsement = p.bytes
			case 20:
				one.revokedAt, err = instant(p.bytes)
			}
			if err != nil {
				return nil, err
			}
		}
		found = append(found, one)
	}
	return found, nil
}

// answeredKeys reads of a Record that is an Answer whose keys it speaks of, and the ids of those that its node relies on.
func answeredKeys(record []byte) (string, []string) {
	body, err := inner(record, bodyAnswer)
	if err != nil {
		return "", nil
	}
	about := ""
	var accepted []string
	for _, f := range body {
		parts, err := fields(f.bytes)
		if err != nil {
			continue
		}
		keyid, verdict := "", uint64(0)
		for _, p := range parts {
			switch {
			case f.number == 1 && p.number == 1:
				about = string(p.bytes)
			case f.number == 7 && p.number == 1:
				keyid = string(p.bytes)
			case f.number == 7 && p.number == 2:
				verdict = p.varint
			}
		}
		if f.number == 7 && verdict == verdictAccepted {
			accepted = append(accepted, keyid)
		}
	}
	return about, accepted
}
