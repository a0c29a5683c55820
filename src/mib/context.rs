//! What a plain name means where notifications are spoken of.

use crate::mib::index::{Kind, Mib, Object};
use crate::oid::Oid;

impl Mib {
    /// All definitions of an OID, in the order of the modules; the one that names it comes last.
    pub fn all_of<'m>(&'m self, oid: &Oid<'_>) -> impl Iterator<Item = &'m Object> {
        let objects = self.objects();
        let start = objects.partition_point(|object| object.oid < *oid);
        let count = objects[start..].iter().take_while(|object| object.oid == *oid).count();
        objects[start..start + count].iter()
    }

    /// The objects that a name may mean where one speaks of the notifications of these OIDs, one for each OID.
    ///
    /// Several modules may define a name. Then it means the objects that the notifications carry, and the indexes of
    /// their rows; without such, those of the notifications' own modules; without such, all.
    pub fn objects_for(&self, name: &str, traps: &[Oid<'_>]) -> Vec<&Object> {
        let mut all: Vec<&Object> = Vec::new();
        for object in self.find(name).filter(|object| object.kind == Kind::Object) {
            if !all.iter().any(|other| other.oid == object.oid) {
                all.push(object);
            }
        }
        if all.len() < 2 || name.contains("::") {
            return all;
        }
        let notifications: Vec<&Object> = traps
            .iter()
            .flat_map(|oid| self.all_of(oid))
            .filter(|object| object.kind == Kind::Notification)
            .collect();
        let carries = |object: &&Object| {
            notifications.iter().flat_map(|notification| self.objects_of(notification)).any(|carried| {
                let is_index =
                    carried.indexes.iter().filter_map(|part| part.object).any(|at| {
                        self.objects().get(at as usize).is_some_and(|index| index.oid == object.oid)
                    });
                carried.oid == object.oid || is_index
            })
        };
        let own: Vec<&Object> = all.iter().copied().filter(carries).collect();
        if !own.is_empty() {
            return own;
        }
        let modules = |object: &&Object| notifications.iter().any(|n| n.module == object.module);
        let own: Vec<&Object> = all.iter().copied().filter(modules).collect();
        if own.is_empty() { all } else { own }
    }
}

#[cfg(test)]
mod tests {
    use crate::mib::load::load;

    const ONE: &str = "ONE-MIB DEFINITIONS ::= BEGIN\nIMPORTS OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, enterprises FROM SNMPv2-SMI;\n\
        one OBJECT IDENTIFIER ::= { enterprises 99991 }\n\
        speed OBJECT-TYPE SYNTAX Integer32 MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= { one 2 }\n\
        other OBJECT-TYPE SYNTAX Integer32 MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= { one 3 }\n\
        slow NOTIFICATION-TYPE OBJECTS { speed } STATUS current DESCRIPTION \"x\" ::= { one 4 }\nEND\n";

    #[test]
    fn a_name_means_the_object_of_the_notification_then_of_its_module_then_any() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one.txt"), ONE).unwrap();
        let two = ONE.replace("ONE-MIB", "TWO-MIB").replace("99991", "99992").replace("one", "two");
        std::fs::write(folder.path().join("two.txt"), two).unwrap();
        let mib = load(&[folder.path().to_owned()]).mib;
        let slow = |number: u32| format!("1.3.6.1.4.1.{number}.4").parse().unwrap();
        let names = |name: &str, traps: &[_]| -> Vec<String> {
            mib.objects_for(name, traps).iter().map(|object| object.qualified()).collect()
        };
        assert_eq!(names("speed", &[slow(99991)]), ["ONE-MIB::speed"]);
        assert_eq!(names("speed", &[slow(99992)]), ["TWO-MIB::speed"]);
        assert_eq!(names("other", &[slow(99992)]), ["TWO-MIB::other"]);
        assert_eq!(names("speed", &[slow(99991), slow(99992)]).len(), 2);
        assert_eq!(names("speed", &[]).len(), 2);
        assert_eq!(names("ONE-MIB::speed", &[slow(99992)]), ["ONE-MIB::speed"]);
    }
}
