package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

const (
	width     = 256       // entries of a bundle, hashes of a tile
	maxFile   = 1 << 30   // bytes of one file that is read whole
	maxMember = 256 << 20 // bytes of one member of an archive
	hashSize  = 32

	maxEntries = 1 << 32 // of one log: what no node writes in a century
)

// A log as export.json names it. Nothing of it is believed: it only says where to look.
type exportedLog struct {
	Origin string          `json:"origin"`
	Folder string          `json:"folder"`
	Use    string          `json:"use"`
	Peer   string          `json:"peer"`
	Size   int64           `json:"size"`
	Beyond int64           `json:"promised"`
	Scope  json.RawMessage `json:"bundles"`
}

type export struct {
	Format int `json:"format"`
	Node   struct {
		Name   string `json:"name"`
		Domain string `json:"domain"`
	} `json:"node"`
	Logs []exportedLog `json:"logs"`
}

func readExport(folder string) (*export, error) {
	data, err := readFile(folder, "export.json")
	if err != nil {
		return nil, err
	}
	found := &export{}
	if err := json.Unmarshal(data, found); err != nil {
		return nil, err
	}
	if found.Format != 1 {
		return nil, fmt.Errorf("format %d is not known here", found.Format)
	}
	return found, nil
}

// place joins a path of the folder's own making below it, and refuses what leads out.
func place(folder, name string) (string, error) {
	for _, part := range strings.Split(name, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\\\x00") {
			return "", fmt.Errorf("a path that leads elsewhere: %q", name)
		}
	}
	return filepath.Join(folder, filepath.FromSlash(name)), nil
}

func readFile(folder, name string) ([]byte, error) {
	path, err := place(folder, name)
	if err != nil {
		return nil, err
	}
	info, err := regular(folder, name, path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is no file that is read here", name)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, maxFile)
}

// regular looks at each step of a path: folders all the way, a file at its end. No link is followed, no pipe opened.
func regular(folder, name, path string) (os.FileInfo, error) {
	parts := strings.Split(name, "/")
	for count := 1; count < len(parts); count++ {
		info, err := os.Lstat(filepath.Join(folder, filepath.FromSlash(strings.Join(parts[:count], "/"))))
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s leads through what is no folder", name)
		}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file that is read here", name)
	}
	return info, nil
}

// readAll reads so many bytes at most: an archive may tell of more than it holds.
func readAll(from io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New("more bytes than are read here")
	}
	return data, err
}

// tileName is the name of tile or bundle n below its room: x001/234, x001/234.p/8.
func tileName(n int64, count int) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	if count < width {
		name += ".p/" + strconv.Itoa(count)
	}
	return name
}

// splitBundle cuts a bundle into its entries.
func splitBundle(data []byte, count int) ([][]byte, error) {
	var found [][]byte
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, errors.New("a bundle that ends within a length")
		}
		size := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+size {
			return nil, errors.New("a bundle that ends within an entry")
		}
		found = append(found, data[2:2+size])
		data = data[2+size:]
	}
	if len(found) != count {
		return nil, fmt.Errorf("%d entries instead of %d", len(found), count)
	}
	return found, nil
}

type body struct {
	record, salt []byte
}

// readBodies reads the bodies of one bundle, and the reasons of those that are absent.
func readBodies(data []byte) (map[int64]body, map[int64]string, error) {
	bodies, absent := map[int64]body{}, map[int64]string{}
	reader := tar.NewReader(bytes.NewReader(data))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return bodies, absent, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if header.Typeflag != tar.TypeReg {
			return nil, nil, fmt.Errorf("%s is no file", header.Name)
		}
		content, err := readAll(reader, maxMember)
		if err != nil {
			return nil, nil, err
		}
		if header.Name == "absent.tsv" {
			for _, line := range strings.Split(strings.TrimRight(string(content), "\n"), "\n") {
				if line == "" {
					continue
				}
				cells := strings.Split(line, "\t")
				index, err := strconv.ParseInt(cells[0], 10, 64)
				if err != nil || len(cells) < 2 {
					return nil, nil, errors.New("absent.tsv")
				}
				absent[index] = cells[1]
			}
			continue
		}
		dot := strings.LastIndexByte(header.Name, '.')
		if dot < 0 {
			return nil, nil, fmt.Errorf("an unknown member: %s", header.Name)
		}
		index, err := strconv.ParseInt(header.Name[:dot], 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("an unknown member: %s", header.Name)
		}
		one := bodies[index]
		switch header.Name[dot:] {
		case ".body":
			one.record = content
		case ".salt":
			one.salt = content
		default:
			return nil, nil, fmt.Errorf("an unknown member: %s", header.Name)
		}
		bodies[index] = one
	}
}

// A stored note and the file that it stands in.
type storedNote struct {
	size int64
	data []byte
	file string
}

// readNotes reads every cosigned note of a log, smallest first.
func readNotes(folder, room string) ([]storedNote, []problem) {
	var found []storedNote
	var problems []problem
	path, err := place(folder, room+"/notes")
	if err != nil {
		return nil, []problem{{file: room + "/notes", text: err.Error()}}
	}
	_ = filepath.Walk(path, func(file string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return nil
		}
		below, _ := filepath.Rel(folder, file)
		name := filepath.ToSlash(below)
		data, err := readFile(folder, name)
		if err != nil {
			problems = append(problems, problem{file: name, text: err.Error()})
			return nil
		}
		reader := tar.NewReader(bytes.NewReader(data))
		for {
			header, err := reader.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				problems = append(problems, problem{file: name, text: err.Error()})
				return nil
			}
			size, err := strconv.ParseInt(header.Name, 10, 64)
			content, readErr := readAll(reader, maxMember)
			if err != nil || readErr != nil {
				problems = append(problems, problem{file: name, text: "a member that is no note: " + header.Name})
				return nil
			}
			found = append(found, storedNote{size, content, name})
		}
	})
	sort.SliceStable(found, func(i, j int) bool { return found[i].size < found[j].size })
	return found, problems
}

type problem struct {
	file, text string
}

// checkManifest compares every file with the list, and the list with every file.
func checkManifest(folder string) (int, []problem, error) {
	data, err := readFile(folder, "MANIFEST")
	if err != nil {
		return 0, nil, err
	}
	var problems []problem
	listed := map[string]bool{}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		cells := strings.Split(scanner.Text(), "\t")
		if len(cells) != 4 {
			problems = append(problems, problem{"MANIFEST", "a line without its four parts: " + scanner.Text()})
			continue
		}
		name := cells[0]
		listed[name] = true
		path, err := place(folder, name)
		if err != nil {
			problems = append(problems, problem{"MANIFEST", err.Error()})
			continue
		}
		if _, err := regular(folder, name, path); err != nil {
			problems = append(problems, problem{name, "listed, and no file there"})
			continue
		}
		sum, size, err := digest(path)
		if err != nil {
			problems = append(problems, problem{name, "listed and not there"})
			continue
		}
		if strconv.FormatInt(size, 10) != cells[1] || sum != cells[2] {
			problems = append(problems, problem{name, "is not what MANIFEST says"})
		}
	}
	err = filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		below, _ := filepath.Rel(folder, path)
		name := filepath.ToSlash(below)
		if !info.IsDir() && !info.Mode().IsRegular() {
			problems = append(problems, problem{name, "is a link, a pipe or a device"})
		}
		if !info.IsDir() && !listed[name] && name != "MANIFEST" && name != "交接单.html" {
			problems = append(problems, problem{name, "is not in MANIFEST"})
		}
		return nil
	})
	return len(listed), problems, err
}

func digest(path string) (string, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	return hex.EncodeToString(sum.Sum(nil)), size, err
}
